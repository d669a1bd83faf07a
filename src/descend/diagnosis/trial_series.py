"""Counterfactual paired trials: all results so far, and how a trial is made.

Every treatment runs against the run's own configuration with the same seed, data order, evaluation,
and number of tokens.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import msgspec

from descend.config import RunConfig
from descend.diagnosis.cause import LEARNED_NOTHING, TreatmentChange
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.treatments import Treatment, make_treatment_spec
from descend.diagnosis.trial_budget import (
    TrialBudget,
    seconds_at_work,
    side_by_side_seconds,
)
from descend.errors import DescendError
from descend.metrics.power_law import InterpolatedCurve
from descend.progress import ProgressCallback
from descend.trials.cached_trial import load_cached_result
from descend.trials.executor import TrialProgress, run_trials, workers_for_devices
from descend.trials.trial_spec import TrialResult, TrialSpec

SEEDS = 3
"""Pairs of runs for the best few: with the pooled spread, enough for 0.02 nat (prototype)."""
MAX_SEEDS = 12
"""Pairs for those that three leave in doubt, while time is left."""
FINALISTS = 3
"""Causes that run with all seeds."""
FOLLOW_UP_RELATIVE_EFFECT = 0.002
"""Fraction of the loss that a treatment must gain on one seed to be followed up: below, it is lost
in the noise."""
MIN_LEARNED_FRACTION = 0.1
"""Of the loss of a guess, ln V, that a trial must have left behind to be compared with one of
another vocabulary. The frequencies of tokens alone are worth twice as much: unigrams of English
letters cost 3.3 of 4.2 to 5.8 nats."""
NOTHING_LEARNED = (
    "the trial or its control learned next to nothing, so their losses differ by the unit of their "
    "tokens alone"
)
NEARLY_FULL = 0.7
"""Fraction of the run from which a trial counts as of full length."""
OF_THE_CURVE = ""
"""Stands for the cause of a trial of another length: the control, a point of the curve by length
that gains of trials shorter than the run are carried along, or a treatment at full length."""


@runtime_checkable
class TrialCallback(ProgressCallback, Protocol):
    """A progress callback that is called with each treatment whose trial ended, too."""

    def on_trial(self, series: TrialSeries, treatment: Treatment, /) -> None:
        """Take note that a trial of `treatment` and its control are in `series`."""


@dataclass
class TrialSeries:
    """All results so far, by treatment (None: the control) and seed; grows while it runs."""

    recorded_run: RunContext
    base: RunConfig
    steps: int
    """Length of the control, in steps of the run examined."""
    budget: TrialBudget
    """What its trials may take, shared with the series that come on top of it."""
    progress: ProgressCallback
    results: dict[tuple[Treatment | None, int], TrialResult] = field(default_factory=dict)
    invalid_treatments: dict[Treatment, str] = field(default_factory=dict)
    """Treatments that could not run, and why."""
    fading_treatments: set[Treatment] = field(default_factory=set)
    """Treatments whose trial at full length shows no effect worth a word."""
    full_length_factor: float = 1.0
    """Length of a full run of `base` over that of the run examined."""
    recommended_length_factor: float = 1.0
    """The same of the run that is recommended, which reads a whole epoch of text that was read in
    part."""
    known_curve: InterpolatedCurve | None = None
    """The curve by length of the run examined, where `base` has treatments that it had not."""
    head_start: float = 1.0
    """Steps on `known` that one step of `base` is worth."""
    lasting_fraction: float = 1.0
    """Of what is expected at full length, what remained of it in trials so long, where both sides
    had not yet the treatments of `base`."""
    seconds: float = 0.0
    combined_with: str = ""
    """The changes that both sides of each trial have."""

    @property
    def run_fraction(self) -> float:
        """Length of the control over that of a full run of `base`."""
        return self.steps / max(self.recorded_run.total_steps * self.full_length_factor, 1.0)

    @property
    def seed(self) -> int:
        """The run's own."""
        return self.recorded_run.config.seed

    @property
    def seeds(self) -> list[int]:
        """The run's own seed and those that the best few may run with as well."""
        return [self.seed + n for n in range(MAX_SEEDS)]

    @property
    def is_full_length(self) -> bool:
        """Whether its trials are as good as of full length."""
        return self.run_fraction >= NEARLY_FULL

    def remaining_seconds(self) -> float:
        """Return seconds that may still be spent."""
        return self.budget.remaining_seconds()


def is_too_short(series: TrialSeries, change: TreatmentChange) -> bool:
    """Return whether nothing of `change` could show in its trials."""
    return change.min_run_fraction > series.run_fraction


def drop_too_short(
    series: TrialSeries, treatment_sequences: Sequence[list[Treatment]]
) -> list[list[Treatment]]:
    """Return those of `treatment_sequences` of which something could show."""
    return [
        sequence for sequence in treatment_sequences if not is_too_short(series, sequence[0].change)
    ]


def full_length_treatment(series: TrialSeries, treatment: Treatment) -> Treatment:
    """Return the trial of `treatment` that is as long as a full run."""
    change = treatment.change
    longer = msgspec.structs.replace(
        change, label=f"{change.label}, at full length", steps=change.steps / series.run_fraction
    )
    return Treatment(OF_THE_CURVE, longer)


def list_treatments(series: TrialSeries) -> list[Treatment]:
    """Return every treatment that ran."""
    ran = dict.fromkeys(treatment for treatment, _ in series.results)
    return [
        treatment for treatment in ran if treatment is not None and treatment.cause != OF_THE_CURVE
    ]


def control_loss_by_steps(series: TrialSeries) -> dict[float, float]:
    """Return the loss of the control by length in steps, for every length that it ran with."""
    ran = {treatment: o for (treatment, seed), o in series.results.items() if seed == series.seed}
    losses = {
        treatment.change.steps * series.steps: best_validation_point(o)[0]
        for treatment, o in ran.items()
        if treatment is not None
        and treatment.change.keys.keys() <= {"epoch"}
        and treatment.change.steps != 1.0
    }
    return {float(series.steps): best_validation_point(ran[None])[0]} | losses


TreatmentSeed = tuple[Treatment | None, int]
"""A treatment, or None for the control, and the seed that it runs with."""


def run_series_trials(
    series: TrialSeries, treatment_seeds: Sequence[TreatmentSeed], stage: str
) -> None:
    """Make the runs that are not there yet, side by side.

    On this machine alone, by whose speed their length was chosen, whatever cluster is named.
    """
    specs: dict[TreatmentSeed, TrialSpec] = {}
    for treatment, seed in treatment_seeds:
        if (treatment, seed) not in series.results and treatment not in series.invalid_treatments:
            spec = make_series_spec(series, treatment, seed)
            if spec is not None:
                specs[treatment, seed] = spec
    if not specs:
        return
    began = time.monotonic()

    fractions: dict[str, float] = {}
    pairs = {spec.key: pair for pair, spec in specs.items()}
    untold = set(specs)

    def report_progress(trial_progress: TrialProgress) -> None:
        fractions[trial_progress.key] = trial_progress.fraction_done
        if trial_progress.result is not None:
            series.results[pairs[trial_progress.key]] = trial_progress.result
            for pair in [pair for pair in untold if trial_loss(series, *pair) is not None]:
                untold.discard(pair)
                _report_result(series, *pair)
        series.progress(stage, sum(fractions.values()) / trial_progress.total)

    series.progress(stage, 0.0)
    try:
        results = run_trials(list(specs.values()), on_progress=report_progress, here=True)
        series.results.update(zip(specs, results, strict=True))
    except DescendError:
        _run_one_by_one(series, specs)
    _exclude_unlearned(series)
    series.seconds += time.monotonic() - began
    _charge(series, specs)


def _report_result(series: TrialSeries, treatment: Treatment | None, seed: int) -> None:
    """Report what a trial gained, as soon as it and its control are there."""
    loss, control = trial_loss(series, treatment, seed), trial_loss(series, None, seed)
    if treatment is None or treatment.cause == OF_THE_CURVE or loss is None or control is None:
        return
    nth = series.seeds.index(seed) + 1
    of_seed = f" (seed {nth})" if nth > 1 else ""
    difference = f"{abs(control - loss):.2f}"
    change = f"{difference} nats {'lower' if loss < control else 'higher'}"
    if float(difference) == 0:
        change = "unchanged"
    both = f" (both sides: {series.combined_with})" if series.combined_with else ""
    series.progress(f"  {treatment.change.label}{both}{of_seed}: validation loss {change}", 1.0)
    if isinstance(series.progress, TrialCallback):
        series.progress.on_trial(series, treatment)


def _charge(series: TrialSeries, specs: Mapping[TreatmentSeed, TrialSpec]) -> None:
    """Take what `specs` worked from the budget."""
    store = series.recorded_run.store
    validation_tokens = len(store.validation) if store else 0
    seconds = [
        seconds_at_work(spec, series.results[key], validation_tokens)
        for key, spec in specs.items()
        if key in series.results
    ]
    num_parallel = workers_for_devices({series.base.device})
    series.budget.spent += side_by_side_seconds(seconds, num_parallel)


def _run_one_by_one(series: TrialSeries, specs: Mapping[TreatmentSeed, TrialSpec]) -> None:
    """Run the same after one of them failed: what does not fit or go together is left out."""
    for (treatment, seed), spec in specs.items():
        try:
            series.results[treatment, seed] = run_trials([spec], here=True)[0]
        except DescendError as problem:
            if treatment is None and seed == series.seed:
                raise
            if treatment is not None:
                series.invalid_treatments[treatment] = _reason(problem)


def make_series_spec(
    series: TrialSeries, treatment: Treatment | None, seed: int
) -> TrialSpec | None:
    """Return the run of `treatment`; None, with the reason kept, where the settings do not allow
    it."""
    try:
        return make_treatment_spec(
            series.recorded_run,
            series.base,
            treatment.change if treatment else None,
            series.steps,
            seed,
        )
    except DescendError as problem:
        if treatment is None:
            raise
        series.invalid_treatments[treatment] = _reason(problem)
        return None


def are_cached(series: TrialSeries, treatments: Sequence[Treatment | None]) -> bool:
    """Return whether the trials of all of `treatments` with the run's own seed were made before, so
    that they take no time."""
    specs = (make_series_spec(series, treatment, series.seed) for treatment in treatments)
    return all(load_cached_result(spec.key) is not None for spec in specs if spec is not None)


def trial_loss(series: TrialSeries, treatment: Treatment | None, seed: int) -> float | None:
    """Return the lowest validation loss of that run, in nats per token of the run's own
    tokenizer; None where another vocabulary cannot be compared, since nothing was learned."""
    result, control = series.results.get((treatment, seed)), series.results.get((None, seed))
    if result is None or control is None:
        return None
    if (
        treatment
        and treatment.change.changes_vocabulary
        and not _have_learned(series, result, control)
    ):
        return None
    return comparable_loss(result, control, treatment.change if treatment else None)


def follow_up_threshold(series: TrialSeries) -> float:
    """Return nats from which a gain on one seed is followed up."""
    return FOLLOW_UP_RELATIVE_EFFECT * (trial_loss(series, None, series.seed) or 0.0)


def paired_reductions(series: TrialSeries, treatment: Treatment) -> list[float]:
    """Control minus treated (nats), for every seed that both ran with."""
    sign = -1.0 if treatment.change.is_ablation else 1.0
    reductions = []
    for seed in series.seeds:
        control, treatment_loss = (
            trial_loss(series, None, seed),
            trial_loss(series, treatment, seed),
        )
        if control is not None and treatment_loss is not None:
            reductions.append(sign * (control - treatment_loss))
    return reductions


def _reason(problem: DescendError) -> str:
    return f"{problem.location} {problem.actual}: expected {problem.expected}"


def best_validation_point(result: TrialResult) -> tuple[float, float]:
    """Return the validation loss and bits per byte where the loss was lowest: those weights are
    kept."""
    points = [(p.validation_loss, p.bits_per_byte) for p in result.curve]
    return min([*points, (result.validation_loss, result.bits_per_byte)])


def _have_learned(series: TrialSeries, result: TrialResult, control: TrialResult) -> bool:
    """Return whether both trials are well below a guess among all of their tokens, and the control
    below the frequencies of its tokens.

    A guess among long tokens costs fewer nats per byte than one among short tokens, and so do their
    frequencies: without learning more, two vocabularies differ in the unit alone (by 0.89 nats for
    four times the vocabulary, with a rate of 0.3).
    """
    losses = [best_validation_point(trial)[0] for trial in (result, control)]
    if any(
        loss >= (1 - MIN_LEARNED_FRACTION) * math.log(trial.vocab_size)
        for loss, trial in zip(losses, (result, control), strict=True)
    ):
        return False
    store = series.recorded_run.store
    if store is None or control.vocab_size != store.info.vocab_size:
        return True
    return losses[1] < LEARNED_NOTHING * store.info.ngram_baselines.unigram


def leads_by_pairs(series: TrialSeries, treatment: Treatment) -> bool:
    """Return whether a larger vocabulary may lead in a short trial by its longer tokens alone.

    Until the control is below its bigram baseline it learns pairs of tokens, and pairs of longer
    tokens say more per byte. Of three such leads of 0.1 to 0.4 nats, on 150 kB of text, none was
    left at full length (benchmarks/results/diagnosis/planned_runs.csv).
    """
    store, control = series.recorded_run.store, series.results[None, series.seed]
    if store is None or series.is_full_length or not treatment.change.changes_vocabulary:
        return False
    if series.results[treatment, series.seed].vocab_size <= control.vocab_size:
        return False
    loss, _ = best_validation_point(control)
    return control.vocab_size == store.info.vocab_size and loss >= store.info.ngram_baselines.bigram


def _exclude_unlearned(series: TrialSeries) -> None:
    """Note the treatments whose vocabulary cannot be compared."""
    for (treatment, seed), result in series.results.items():
        control = series.results.get((None, seed))
        if treatment is None or control is None or not treatment.change.changes_vocabulary:
            continue
        if not _have_learned(series, result, control):
            series.invalid_treatments[treatment] = NOTHING_LEARNED


def comparable_loss(
    result: TrialResult, control: TrialResult, change: TreatmentChange | None
) -> float:
    """Return nats per token; across tokenizers by bits per byte, in tokens of the control's
    size."""
    loss, bits = best_validation_point(result)
    if change is None or not change.changes_vocabulary:
        return loss
    own, own_bits = best_validation_point(control)
    return bits * own / max(own_bits, 1e-12)
