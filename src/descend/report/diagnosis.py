"""A diagnosis in words: what holds, the numbers, the proof, what to do, what was ruled out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from descend.doctor.causes import CAUSES
from descend.doctor.diagnosis import (
    OF_A_NEW_VOCABULARY,
    Diagnosis,
    Evidence,
    Finding,
    RuledOut,
    Trial,
    tried,
)
from descend.doctor.healthy import in_words
from descend.doctor.prescription import merged_prescription
from descend.doctor.reading import Reading
from descend.handbook.yours.found import takes_away
from descend.handbook.yours.wording import interval_words, reading_words, share
from descend.units import counted, duration, quoted

_HEADLINE = {cause.name: cause.headline for cause in CAUSES}
_LISTED = 4
"""Trials that came to nothing, told in the short form."""


def diagnosis_text(diagnosis: Diagnosis, explain: bool = False) -> str:
    """What `descend diagnose` prints; with `explain` also how each other cause was ruled out."""
    lines = [headline(diagnosis)]
    for place, finding in enumerate(diagnosis.causes):
        lines += _finding(finding, place, doubtful=diagnosis.verdict == "unknown")
    lines += _neutral(diagnosis)
    lines += _accuracy(diagnosis)
    lines += _heading(diagnosis)
    lines += [f"  Note: {note}." for note in diagnosis.notes]
    keys = merged_prescription(diagnosis)
    if keys:
        lines.append(
            f"  Apply it: descend train --from-run {quoted(diagnosis.run)} --apply   "
            f"({assignments(keys)})"
        )
    if explain:
        for title, some in sorted_out(diagnosis):
            lines += ["", f"{title}:"]
            lines += [f"  {word(r.cause)}: {r.because}." for r in some]
        lines += ["", "What was read off the run:"]
        lines += [f"  {_reading(e)}" for e in diagnosis.readings]
    elif diagnosis.ruled_out and not tried(diagnosis):
        lines.append("  Causes that the signals speak less for: --explain.")
    elif diagnosis.ruled_out:
        for title, some in sorted_out(diagnosis):
            how = " (how each was ruled out: --explain)" if title == OUT else ""
            names = _words(r.cause for r in some)
            lines.append(f"  {'Ruled out' if title == OUT else title}: {names}{how}.")
    lines.append(
        f"  This took {duration(diagnosis.cost.seconds)}, "
        f"{diagnosis.cost.fraction_of_run:.0%} of the run's own time."
    )
    return "\n".join(lines)


LESSER = "May also help, but less"
AS_LARGE = "Help as much or more, at a higher cost or not for certain"
UNDECIDED = "Unclear, needs longer tests (--budget 0.5)"
UNTRIED = "Not tried"
OUT = "How each other cause was ruled out"
NOTHING_TRIED = "Of the other causes"


def sorted_out(diagnosis: Diagnosis) -> list[tuple[str, list[RuledOut]]]:
    """The causes that are not told, by what is known of them, with a title: whose remedies gain as
    well, whose trials left it open, those that are out of question, and those that nobody tried."""
    others = diagnosis.ruled_out
    named = [f.trial.gain for f in diagnosis.causes if f.trial and f.trial.ci95]
    best = named[0] if named else math.inf
    real = [r for r in others if r.gains_too]
    real.sort(key=lambda r: -_effect(r))
    # An effect larger than the one that is named is not ruled out, whatever its chance.
    unclear = [r for r in others if not r.gains_too and (r.open or _effect(r) >= best)]
    left = [r for r in others if not r.gains_too and r not in unclear and not r.untried]
    groups = [
        (AS_LARGE, [r for r in real if _effect(r) >= best]),
        (LESSER, [r for r in real if _effect(r) < best]),
        (UNDECIDED, unclear),
        (OUT if tried(diagnosis) else NOTHING_TRIED, left),
        (UNTRIED, [r for r in others if r.untried and r not in unclear]),
    ]
    return [(title, some) for title, some in groups if some]


def _effect(out: RuledOut) -> float:
    """Nats that the trial of a cause gained; of what was taken away on purpose, none."""
    trial = out.trial
    return -math.inf if trial is None or trial.ci95 is None or takes_away(trial) else trial.gain


def _words(causes: Iterable[str]) -> str:
    return ", ".join(word(cause) for cause in causes)


def assignments(keys: dict[str, Any]) -> str:
    """`learning_rate = 0.003, batch_size = 4`."""
    return ", ".join(f"{key} = {value}" for key, value in keys.items())


def headline(diagnosis: Diagnosis) -> str:
    """The verdict as a sentence."""
    sure = f"(confidence {diagnosis.probability:.2f})"
    if diagnosis.verdict == "healthy" and not tried(diagnosis):
        return f"By its signals alone nothing is wrong, and nothing was tried {sure}."
    if diagnosis.verdict == "healthy":
        return f"Nothing is wrong: no change that was tried gains anything worth having {sure}."
    if diagnosis.verdict == "unknown":
        return f"The cause cannot be told {sure}; what is known stands below."
    if diagnosis.verdict in ("noise_floor", "leakage", "diverged"):
        words = _HEADLINE[diagnosis.verdict]
        return f"{words[0].upper()}{words[1:]} {sure}."
    return f"Your model learns less than it could: {_HEADLINE[diagnosis.verdict]} {sure}."


def _finding(finding: Finding, place: int, *, doubtful: bool) -> list[str]:
    lines = []
    if place or doubtful:
        after = finding.trial.after if finding.trial else []
        proved = finding.trial and not doubtful
        so = "On top of that" if after else "Also" if proved else "Possibly"
        lines.append(f"  {so}: {_HEADLINE[finding.cause]} (confidence {finding.probability:.2f}).")
    told = [_reading(e) + (f": {e.why}" if e.why else "") for e in finding.evidence]
    if told:
        lines.append("  " + "; ".join(told) + ".")
    if finding.trial:
        lines.append(f"  {'Tried' if doubtful else 'Proof'}: {proof(finding.trial)}.")
    keys = f": {assignments(finding.prescription)}" if finding.prescription else ""
    lines.append(f"  Remedy: {finding.remedy}{keys}.")
    return lines


def proof(trial: Trial) -> str:
    """What a trial showed, with its interval."""
    if trial.ci95 is None:
        return (
            f"with {trial.change} the same run comes past the bad step, to a held-out loss of "
            f"{trial.treated:.2f}"
        )
    low, high = trial.ci95
    differs = "lower" if trial.treated < trial.control else "higher"
    seeds = counted(trial.seeds, "paired seed")
    text = (
        f"with {trial.change} the same {trial.tokens:,} tokens end {trial.gain:.2f} nats {differs} "
        f"({trial.control:.2f} → {trial.treated:.2f}; 95 %: {low:.2f} to {high:.2f}, {seeds})"
    )
    if trial.metric == OF_A_NEW_VOCABULARY:
        text += ", a token being one of the new vocabulary"
    if trial.carried_gain is not None:
        text += f"; in a run of full length about {min(trial.carried_gain, trial.gain):.2f}"
    if trial.gain_at_equal_time is not None:
        text += (
            f"; it takes {trial.cost_factor:.1f} times as long, and at equal time it gains "
            f"{trial.gain_at_equal_time:.2f}"
        )
    return text


def _accuracy(diagnosis: Diagnosis) -> list[str]:
    """Whether a low accuracy is the model's fault or the text's."""
    found = {e.signal: e.value for e in diagnosis.readings}
    if not {"validation_accuracy", "mean_confidence", "counting_loss"} <= found.keys():
        return []
    hits, expected = found["validation_accuracy"], found["mean_confidence"]
    return [
        f"  Accuracy: it names the next token of held-out text right {share(hits)} of the time, "
        f"{_than_expected(hits, expected)} ({share(expected)}); its loss there is "
        f"{found['held_out_loss']:.2f}, the best that counting reaches "
        f"{found['counting_loss']:.2f}."
    ]


NEAR, TIMES = 0.05, 2.0
"""Difference of accuracy and confidence under which the model knows how hard the text is, unless
one is so many times the other; first guesses."""


def _than_expected(hits: float, expected: float) -> str:
    low, high = sorted((hits, expected))
    if high - low < NEAR and high <= TIMES * low:
        return "about as often as it expects to"
    return f"{'more' if hits > expected else 'less'} often than it expects to"


def _heading(diagnosis: Diagnosis) -> list[str]:
    found = {e.signal: e for e in diagnosis.readings}
    ahead, last = found.get("loss_ahead"), found.get("loss_at_last")
    return [] if ahead is None or last is None else [f"  {heading_sentence(ahead, last)}"]


def heading_sentence(
    ahead: Evidence | Reading, last: Evidence | Reading, curve: str = "training loss"
) -> str:
    """Where a curve was going, from the readings `loss_ahead` and `loss_at_last`."""
    low, high = last.ci95 or (last.value, last.value)
    told = high - low <= MOST_TOLD * ahead.value
    at_last = f"at last to {last.value:.2f}{interval_words(last.ci95)}" if told else "where at last"
    unknown = "" if told else " cannot be told"
    return (
        f"Curve: at its highest rate the {curve} was going to {ahead.value:.2f} {ahead.unit}"
        f"{interval_words(ahead.ci95)}, and {at_last}{unknown}: a power law through that part of "
        "this curve alone, and the truth is outside such an interval more often than it says."
    )


MOST_TOLD = 0.5
"""Width of the interval of a curve's floor, over its loss, from which the floor is not told."""


def _neutral(diagnosis: Diagnosis) -> list[str]:
    neutral: list[tuple[RuledOut, Trial]] = [
        (r, r.trial) for r in diagnosis.ruled_out if r.trial is not None and r.trial.ci95
    ]
    if not neutral:
        return []
    neutral.sort(key=lambda x: -x[1].gain)
    words = [
        f"{change_word(t)} {t.gain:+.2f} ({t.ci95[0]:+.2f} to {t.ci95[1]:+.2f})"
        for _, t in neutral[:_LISTED]
        if t.ci95
    ]
    return [f"  Tried beside it, gain in nats: {'; '.join(words)}."]


def _reading(evidence: Evidence) -> str:
    healthy = in_words(evidence.healthy_range)
    healthy = f" (healthy: {healthy})" if healthy else ""
    told = reading_words(evidence.signal, evidence.value, evidence.unit)
    return told + interval_words(evidence.ci95) + healthy


def change_word(trial: Trial) -> str:
    """What was changed; of what was taken away, that the gain is what it costs."""
    return f"{trial.change} (what it costs)" if takes_away(trial) else trial.change


def word(name: str) -> str:
    """A name as a person writes it."""
    return name.replace("_", " ")
