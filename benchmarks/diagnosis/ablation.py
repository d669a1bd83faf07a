"""What each mechanism of the trial machinery is worth, by replay of the stored runs.

    python benchmarks/diagnosis/ablation.py benchmarks/results/diagnosis

No run is trained. The rounds of trials and the verdict of `descend.diagnosis` read each development
case's treatments and seeds from `runs-development.jsonl`. Then one mechanism is off at a time.
Prints, and writes to RESULTS/ablation.json: by mechanism the change (off minus on) of top-1,
macro-F1, false alarms, and repair with paired 95 % intervals, if any verdict or advice changes,
and how many do; and the change of trials a case.

What the replay leaves out: stored trials are of full length, in bits per byte, without measurements
of the run, with three seeds at most, and one treatment at a time. So it says nothing of the length
of trials, the budget, extrapolation, combinations, or weights of evidence. Stronger treatments and
more seeds are stored only where the campaign found them promising, so FINALISTS, CLOSE,
FOLLOW_UP_RELATIVE_EFFECT, and the end of a sequence cannot be turned off. Labels come from the same
runs, so only differences mean something. Cases whose truth no trial can show are left out.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from diagnose_cases import SIGNALS
from score import REPAIRED, Scored, false_alarms, labelled, macro_f1, right
from table import Diagnosed, Trained, read
from treatments import BY_CONSTRUCTION, TREATMENTS
from truth import Truth

from descend.diagnosis import (
    effect_ranking,
    effects,
    run_diagnosis,
    series_evaluation,
    treatments,
    trial_rounds,
    trial_series,
    verdict,
)
from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.causes import CAUSES
from descend.diagnosis.ranking import RankedCause
from descend.diagnosis.series_evaluation import add_seeds_until_decided, evaluate_series
from descend.diagnosis.treatments import Treatment
from descend.diagnosis.trial_budget import TrialBudget
from descend.diagnosis.trial_rounds import run_trial_series
from descend.diagnosis.trial_series import TreatmentSeed, TrialSeries
from descend.diagnosis.verdict import Verdict
from descend.progress import ignore_progress
from descend.trials.trial_spec import TrialResult

DRAWS = 1000
STORED_SEEDS = 3
Patch = tuple[ModuleType, str, Any]


class Mechanism(NamedTuple):
    """A mechanism, and what stands in its place while it is off."""

    name: str
    off: str
    patches: tuple[Patch, ...]


def _max_effects(estimates: Sequence[Any]) -> dict[str, Any]:
    ordered = sorted(estimates, key=lambda g: g.full_length_reduction)
    return {g.treatment.cause: g for g in ordered}


def _first_cause(causes: Sequence[Any], *rest: Any) -> tuple[str, float]:
    if causes:
        return causes[0].cause, causes[0].probability
    answer: tuple[str, float] = decide(causes, *rest)
    return answer


decide = verdict._verdict
MECHANISMS = (
    Mechanism("order by measurements", "order of the priors", ((run_diagnosis, "ORDER", "prior"),)),
    Mechanism("follow-up seeds", "one seed", ((trial_rounds, "SEEDS", 1),
              (series_evaluation, "SEEDS", 1), (trial_series, "MAX_SEEDS", 1))),
    Mechanism("seeds for the undecided", "none", ((trial_series, "MAX_SEEDS", STORED_SEEDS),)),
    Mechanism("NUM_FINALISTS", "1", ((series_evaluation, "NUM_FINALISTS", 1),)),
    Mechanism("CONFIDENT_PROBABILITY", "0", ((series_evaluation, "CONFIDENT_PROBABILITY", 0.0),)),
    Mechanism("stronger treatments", "the weakest only",
              ((trial_rounds, "_count_affordable", lambda *_: 0),)),
    Mechanism("POSSIBLE", "0", ((trial_rounds, "POSSIBLE", 0.0),)),
    Mechanism("Holm correction", "none", ((effects, "holm_adjust", list),)),
    Mechanism("pooled spread", "the prior",
              ((effects, "_pooled_std", lambda series, _: effects._prior(series)),)),
    Mechanism("PRIOR_DF", "1", ((effects, "PRIOR_DF", 1),)),
    Mechanism("MIN_RELATIVE_EFFECT_AGAINST_HEALTHY", "0",
              ((effects, "MIN_RELATIVE_EFFECT_AGAINST_HEALTHY", 0.0),)),
    Mechanism("COSTLY_EFFECT_WEIGHT", "1", ((treatments, "COSTLY_EFFECT_WEIGHT", 1.0),)),
    Mechanism("MIN_RELATIVE_COSTLY_EFFECT", "0",
              ((treatments, "MIN_RELATIVE_COSTLY_EFFECT", 0.0),)),
    Mechanism("MIN_RELATIVE_EFFECT_AT_LOW_LOSS", "0.01 nat at any loss",
              ((treatments, "MIN_RELATIVE_EFFECT_AT_LOW_LOSS", math.inf),)),
    Mechanism("significant before larger", "the larger",
              ((verdict, "best_effect_per_cause", _max_effects),
               (series_evaluation, "best_effect_per_cause", _max_effects))),
    Mechanism("shrinkage", "none", ((effect_ranking, "_shrinkage", lambda _, g: np.ones(len(g))),)),
    Mechanism("chance of a small effect", "none",
              ((effect_ranking, "_yet_enough", lambda _: 0.0),)),
    Mechanism("UNTESTED_PROBABILITY", "0", ((effect_ranking, "UNTESTED_PROBABILITY", 0.0),
              (verdict, "UNTESTED_PROBABILITY", 0.0))),
    Mechanism("MIN_PROBABILITY", "0", ((verdict, "MIN_PROBABILITY", 0.0),)),
    Mechanism("unknown where healthy is likelier", "the cause",
              ((verdict, "_verdict", _first_cause),)),
)  # fmt: skip


class ReplayResult(NamedTuple):
    """What the replay says of a case: its verdict, the loss after its advice, and its trials."""

    diagnosed: Diagnosed
    end: float | None
    num_trials: int


Losses = Mapping[tuple[str, int], float]
"""Bits per byte by label of the treatment (empty: the control) and seed."""


class Replay:
    """The stored trials of one case, in place of trainings."""

    def __init__(self, losses: Losses) -> None:
        self.losses = losses

    def run_series_trials(
        self, series: TrialSeries, treatment_seeds: Sequence[TreatmentSeed], stage: str
    ) -> None:
        """Put what is stored of these trials into `series`."""
        for treatment, seed in treatment_seeds:
            loss = self.losses.get((treatment.change.label if treatment else "", seed))
            if loss is not None:
                series.results[treatment, seed] = _make_result(loss)


def _make_result(bits_per_byte: float) -> TrialResult:
    return TrialResult(
        key="", steps=1, tokens=1, train_tokens=1, vocab_size=256, parameters=1, seconds=1.0,
        peak_bytes=None, curve=[], validation_loss=bits_per_byte * math.log(2), accuracy=0.0,
        bits_per_byte=bits_per_byte, diverged_step=None, chunk_losses=[],
    )  # fmt: skip


@contextmanager
def patched(patches: Sequence[Patch]) -> Iterator[None]:
    """Set attributes of modules for a while."""
    with ExitStack() as stack:
        for module, name, value in patches:
            stack.enter_context(patch.object(module, name, value, create=True))
        yield


def make_sequences(losses: Losses, order: Sequence[str]) -> list[list[Treatment]]:
    """Return the stored treatments of each cause, weakest first, the causes in `order`."""
    sequences: dict[str, list[Treatment]] = defaultdict(list)
    for treatment in TREATMENTS:
        if (treatment.label, 0) in losses:
            key = "vocab_size" if treatment.cause.startswith("vocabulary") else treatment.label
            steps = 2.0 if treatment.cause == "undertrained" else 1.0
            change = TreatmentChange(treatment.label, {key: treatment.label}, steps=steps)
            sequences[treatment.cause].append(Treatment(treatment.cause, change, treatment.buys))
    return [sequences[name] for name in order if name in sequences]


def diagnose(truth: Truth, losses: Losses, ranked: Sequence[str]) -> ReplayResult:
    """Return the verdict on a case by its stored trials, as `run_diagnosis` goes about it."""
    by_prior = [c.name for c in sorted(CAUSES, key=lambda c: -c.prior_log_odds)]
    first = [] if hasattr(run_diagnosis, "ORDER") else ranked
    order = list(dict.fromkeys([*first, *by_prior]))
    causes = {c.name: c for c in CAUSES}
    ranked_causes = [RankedCause(causes[name], 0.0, None) for name in order]
    recorded_run: Any = SimpleNamespace(config=SimpleNamespace(seed=0), total_steps=1)
    base: Any = SimpleNamespace(epoch=1, device="cpu")
    series = TrialSeries(recorded_run, base, 1, TrialBudget(math.inf), ignore_progress)
    replay = Replay(losses)
    sequences = make_sequences(losses, order)
    tested, rest = (
        sequences[: run_diagnosis.MAX_CANDIDATES],
        sequences[run_diagnosis.MAX_CANDIDATES :],
    )
    stubs: list[Patch] = [
        (module, name, value)
        for module in (trial_rounds, series_evaluation)
        for name, value in (
            ("run_series_trials", replay.run_series_trials),
            ("fits_in_budget", lambda *_: True),
            ("seconds_for", lambda *_: 1.0),
            ("recommended_changes", lambda _run, _base, change, _longer: change.keys),
        )
    ]
    with patched(stubs):
        run_trial_series(series, tested, "")
        answer = evaluate_series(series, ranked_causes, {}, None)
        if answer.best_effect is None and rest:
            run_trial_series(series, rest, "")
            answer = evaluate_series(series, ranked_causes, {}, None)
        answer = add_seeds_until_decided(series, ranked_causes, {}, None, answer)
    return ReplayResult(_make_diagnosed(truth, answer), _end(answer, losses), len(series.results))


def _make_diagnosed(truth: Truth, answer: Verdict) -> Diagnosed:
    return Diagnosed(
        case=truth.case.name, reader="replay", verdict=answer.verdict,
        ranked=[f.cause for f in answer.findings], probabilities=[answer.probability],
        recommended_config={}, seconds=0.0, run_seconds=0.0,
    )  # fmt: skip


def _end(answer: Verdict, losses: Losses) -> float | None:
    """Return the loss after the advice, over its seeds; None without advice."""
    if answer.best_effect is None or answer.verdict == "unknown":
        return None
    label = answer.best_effect.treatment.change.label
    return statistics.mean(loss for (own, _), loss in losses.items() if own == label)


Answer = tuple[Truth, ReplayResult]
SCORES: dict[str, Callable[[Sequence[Answer]], float | None]] = {
    "top1": lambda rows: statistics.mean(right(*pair) for pair in scored(rows)),
    "macro_f1": lambda rows: macro_f1(scored(rows)),
    "false_alarms": lambda rows: false_alarms(scored(rows)),
    "repair": lambda rows: repaired(rows),
}


def scored(rows: Sequence[Answer]) -> list[Scored]:
    """Return truths and verdicts, as score.py takes them."""
    return [(truth, result.diagnosed) for truth, result in rows]


def repaired(rows: Sequence[Answer]) -> float | None:
    """Return the fraction of faulty runs that end within `REPAIRED` of their twins as advised."""
    hits = [
        (t.control if r.end is None else r.end) <= (1 + REPAIRED) * t.twin
        for t, r in rows
        if t.causes and t.twin is not None and t.control > (1 + REPAIRED) * t.twin
    ]
    return statistics.mean(hits) if hits else None


def paired_changes(on: Sequence[Answer], off: Sequence[Answer]) -> dict[str, list[float]]:
    """Return by score its change and 95 % interval; corpora, then cases within, are drawn."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, (truth, _) in enumerate(on):
        groups[truth.case.variant.corpus].append(index)
    rng, corpora = random.Random(0), list(groups.values())
    drawn = [
        [
            i
            for group in rng.choices(corpora, k=len(corpora))
            for i in rng.choices(group, k=len(group))
        ]
        for _ in range(DRAWS)
    ]
    changes = {}
    for name, score in SCORES.items():
        values = sorted(
            after - before
            for indices in drawn
            if (before := score([on[i] for i in indices])) is not None
            and (after := score([off[i] for i in indices])) is not None
        )
        low, high = values[int(0.025 * len(values))], values[int(0.975 * len(values)) - 1]
        change = (score(off) or 0.0) - (score(on) or 0.0)
        changes[name] = [round(x, 3) for x in (change, low, high)]
    return changes


def main() -> None:
    """Replay with everything on, then with one mechanism off at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    results: Path = parser.parse_args().results
    truths, _ = labelled(results, "development")
    truths = [t for t in truths if not t.causes & set(BY_CONSTRUCTION)]
    losses: dict[str, dict[tuple[str, int], float]] = defaultdict(dict)
    for row in read(results / "runs-development.jsonl", Trained):
        losses[row.case][row.treatment, row.seed] = row.best
    ranked = {
        d.case: d.ranked
        for d in read(results / "verdicts-development.jsonl", Diagnosed)
        if d.reader == SIGNALS
    }

    def replay_all() -> list[Answer]:
        return [(t, diagnose(t, losses[t.case.name], ranked.get(t.case.name, []))) for t in truths]

    with patched([(trial_series, "MAX_SEEDS", STORED_SEEDS + 1)]):
        on = replay_all()
        table = {"everything on": summarize(on)}
        print("everything on", table["everything on"], flush=True)
        for mechanism in MECHANISMS:
            with patched(mechanism.patches):
                off = replay_all()
            line = {"off": mechanism.off, **compare(on, off)}
            table[mechanism.name] = line
            print(mechanism.name, line, flush=True)
    path = results / "ablation.json"
    lines = ",\n".join(
        f"{json.dumps(name)}:{json.dumps(row, separators=(',', ':'))}"
        for name, row in table.items()
    )
    path.write_text("{\n" + lines + "\n}\n", encoding="utf-8")


def summarize(rows: Sequence[Answer]) -> dict[str, Any]:
    """Return the scores of one replay."""
    scores = {name: round(score(rows) or 0.0, 3) for name, score in SCORES.items()}
    return {"cases": len(rows), **scores, "trials": round(count_trials(rows), 1)}


def count_trials(rows: Sequence[Answer]) -> float:
    """Return the mean number of trials of a case."""
    return statistics.mean(result.num_trials for _, result in rows)


def compare(on: Sequence[Answer], off: Sequence[Answer]) -> dict[str, Any]:
    """Return what turning a mechanism off changes."""
    pairs = list(zip(on, off, strict=True))
    changed = sum(a.diagnosed.verdict != b.diagnosed.verdict for (_, a), (_, b) in pairs)
    other_ends = sum(a.end != b.end for (_, a), (_, b) in pairs)
    trials = round(count_trials(off) - count_trials(on), 1)
    counts = {"verdicts": changed, "advice": other_ends, "trials": trials}
    return counts | paired_changes(on, off) if changed or other_ends else counts


if __name__ == "__main__":
    main()
