"""An improvement in words: its models, its trials, what each change brought."""

from __future__ import annotations

from collections.abc import Sequence

from descend.diagnosis.causes.distribution_shift import MIN_SHIFT_NATS
from descend.experiments.improvement import (
    Contribution,
    Expectation,
    Improvement,
    Origin,
    TextNotes,
    TrainedModel,
    TreatmentTrial,
)
from descend.experiments.text_treatment import MIN_DUPLICATE_FRACTION
from descend.experiments.validation_text import MIN_CONTAMINATED_FRACTION
from descend.report.text.diagnosis_summary import assignments
from descend.units import format_duration, humanize_name, quoted

TIME_IS_UP = "the time is up"
ONE_TRAINING_IS_BEST = f"{TIME_IS_UP}. The plan expected more of one training than of trials"
LATER_MODELS_LEARNED = "later models, which learned from earlier ones, took the time left"
TRAINING_DIVERGED = "a later training diverged, so the best model before it stays"
NOTHING_HELPS = "no tested change lowers the loss, and no other plan is expected to be as good"
"""Why an improvement ended."""


def describe_too_little_time(training_seconds: float, seconds_left: float) -> str:
    """Say that an improvement ended because another training would take too long."""
    return (
        f"another training would take about {format_duration(training_seconds)} and "
        f"{format_duration(max(seconds_left, 0))} are left, so the best model stays"
    )


def model_line(model: TrainedModel) -> str:
    """Return a model of an improvement."""
    prediction_text = "" if model.predicted is None else f" (predicted {model.predicted:.3f})"
    changes = f": {assignments(model.changes)}" if model.changes else ""
    return (
        f"{model.run}: {model.bits_per_byte:.3f} bits per byte{prediction_text},"
        f" {model.origin}{changes}; {format_duration(model.seconds)} of training"
    )


ORIGIN_TEXT: dict[Origin, str] = {
    "your run": "The run that you started from. It is measured on the same text as the others.",
    "planned": "The recipe that is planned for this text, this computer, and this time.",
    "repaired": "Your run again, with the changes that helped it in trials.",
    "treated": "The planned recipe with all changes that helped in trials.",
    "another plan": "Another recipe, with another size or vocabulary.",
    "distilled": "The same recipe with another seed.",
    "interrupted": "What a training had learned when it was stopped.",
}
"""What a model of an improvement is, for somebody who sees it for the first time."""


def describe_origin(origin: Origin, teachers: Sequence[str]) -> str:
    """Say what a model of an improvement is, and which earlier models are its `teachers`."""
    if not teachers:
        return ORIGIN_TEXT[origin]
    names = " and ".join(teachers)
    return f"{ORIGIN_TEXT[origin]} It learns from the text, and from what {names} would predict."


def trial_line(trial: TreatmentTrial) -> str:
    """Return a trial of a treatment."""
    status = "accepted" if trial.accepted else "pruned" if trial.pruned else "tried"
    return (
        f"  {status}: {assignments(trial.changes)} ({humanize_name(trial.cause)}), "
        f"{trial.control:.3f} → {trial.treated:.3f} bits per byte"
    )


def improvement_text(improvement: Improvement) -> str:
    """Return what `descend improve` prints at its end."""
    lines = ["Models:"] if improvement.candidates else []
    lines += [f"  {model_line(model)}" for model in improvement.candidates]
    if improvement.text_notes is not None:
        lines += text_lines(improvement.text_notes)
    if improvement.contributions:
        lines += ["", "Contribution of each change, in bits per byte:"]
        lines += [f"  {_contribution(c)}" for c in improvement.contributions]
    lines += _setting_lines(improvement)
    measured = improvement.contributions + improvement.setting_effects
    if any(c.ci95 is not None for c in measured):
        lines.append(
            "  Intervals are over parts of the validation set. "
            "Another seed may differ by half a percent."
        )
    lines += _fraction_lines(improvement)
    if improvement.expectations and improvement.best is not None:
        now = f"{improvement.best.bits_per_byte:.3f} bits per byte"
        lines += ["", f"What is expected of more time or text, instead of {now}:"]
        lines += [f"  {_expectation(e)}" for e in improvement.expectations]
    best = improvement.best
    lines += ["", f"Finished after {format_duration(improvement.seconds)}: {improvement.stopped}."]
    if best is not None:
        lines.append(f"The best model is {best.run}, {best.bits_per_byte:.3f} bits per byte.")
    if (
        improvement.candidates
        and improvement.candidates[0].origin == "your run"
        and best is not None
    ):
        first = improvement.candidates[0].run
        if best.run != first:
            lines.append(f"Effect of each changed setting: descend attribute {first} {best.run}")
    if best is not None:
        lines.append(f"next: descend show {quoted(best.run)}")
    return "\n".join(lines)


def text_lines(notes: TextNotes) -> list[str]:
    """Return what was found in the text and done about it: a line for each finding."""
    lines = []
    if notes.text_changed:
        lines.append(
            "Text: it changed since your run, which may have seen some of today's validation text."
        )
    if notes.duplicates_removed:
        lines.append(
            f"Text: {notes.duplicate_fraction:.0%} of it is duplicate documents. They are left out "
            "of the training."
        )
    elif notes.duplicate_fraction >= MIN_DUPLICATE_FRACTION:
        lines.append(
            f"Text: {notes.duplicate_fraction:.0%} of it is duplicate documents. They stay: "
            "without them the validation set would be too small."
        )
    if notes.contaminated_fraction >= MIN_CONTAMINATED_FRACTION:
        action = (
            "That part is left out of all results here."
            if notes.contamination_removed
            else "There is no other validation text, so the results say little about new text."
        )
        lines.append(
            f"Text: {notes.contaminated_fraction:.0%} of the validation text also occurs in the "
            f"training text. {action}"
        )
    if notes.shift_nats is not None and notes.shift_nats >= MIN_SHIFT_NATS:
        lines.append(
            f"Text: the validation text is of another kind than the training text ("
            f"{notes.shift_nats:.2f} nats per token harder). No setting fixes that. Mix the "
            "documents."
        )
    return lines


def _setting_lines(improvement: Improvement) -> list[str]:
    """Return what each group of settings is worth, the largest first."""
    effects = improvement.setting_effects
    if not effects:
        return []
    seconds = format_duration(max(e.seconds or 0.0 for e in effects))
    return [
        "",
        "Effect of each group of settings. The best configuration was trained for "
        f"{seconds} with and without it:",
        *(f"  {_setting_effect(e)}" for e in effects),
    ]


def _setting_effect(effect: Contribution) -> str:
    """Return a group of settings, in words."""
    low, high = effect.ci95 or (effect.gain, effect.gain)
    interval = "" if effect.ci95 is None else f" (95 % CI {low:+.3f} to {high:+.3f})"
    effect_text = "lower with it" if effect.gain >= 0 else "higher with it"
    if effect.ci95 is not None and low <= 0 <= high:
        effect_text += ", which may be chance"
    return (
        f"{effect.reason}: {abs(effect.gain):.3f} {effect_text}{interval}; "
        f"{assignments(effect.changes)}"
    )


def _fraction_lines(improvement: Improvement) -> list[str]:
    """Return the loss against fractions of the text."""
    points = improvement.text_fractions
    if len(points) < 2:
        return []
    parts = ", ".join(f"{p.fraction:.0%}: {p.bits_per_byte:.3f}" for p in points)
    return ["", f"Bits per byte after {points[0].steps:,} steps on fractions of the text: {parts}."]


BASES = {"scaling law": "by the scaling law", "text fractions": "from trials on a tenth and all"}
"""What an expectation rests on, in words."""


def _expectation(expectation: Expectation) -> str:
    basis = BASES[expectation.measured_by]
    if expectation.interval is None:
        return f"{expectation.more}: about {expectation.bits_per_byte:.3f}, {basis}"
    low, high = expectation.interval
    if low >= high:
        return f"{expectation.more}: no gain, {basis}"
    return (
        f"{expectation.more}: about {expectation.bits_per_byte:.3f} (80 % interval {low:.3f} to "
        f"{high:.3f}), {basis}"
    )


def _contribution(part: Contribution) -> str:
    interval = "" if part.ci95 is None else f" (95 % CI {part.ci95[0]:+.3f} to {part.ci95[1]:+.3f})"
    changes = f": {assignments(part.changes)}" if part.changes else ""
    return (
        f"{part.gain:+.3f}{interval} {humanize_name(part.reason)}{changes}, by {part.measured_by}"
    )
