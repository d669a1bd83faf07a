"""The race of counterfactual trials: which remedies gain, by how much, how surely.

Every remedy runs against the run's own settings with the same seed, data order, evaluation and
number of tokens. All run once; where a remedy gained, the next stronger one is tried; the best few
and the control then run with two more seeds, in pairs. Rounds end when the time allowed is spent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from descend.config import RunConfig, make_config
from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.treatments import Treatment, make_treatment_spec, min_effect_nats
from descend.errors import DescendError
from descend.machine import contention_factor
from descend.metrics.power_law import InterpolatedCurve
from descend.model.cost import training_flops_per_token
from descend.model.shape import shape_from_run_config
from descend.trials.executor import TrialProgress, run_trials, workers_for_devices
from descend.trials.trial_spec import TrialResult, TrialSpec

SEEDS = 3
"""Pairs of runs for the best few: with the pooled spread, enough for 0.02 nat (prototype)."""
MAX_SEEDS = 12
"""Pairs for those that three leave in doubt, while time is left."""
FINALISTS = 3
"""Causes that run with all seeds."""
MIN_STEPS = 100
"""Shortest trial: in fewer steps a run hardly gets past its warmup."""
RUN_FRACTIONS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.125, 0.09, 0.06, 0.045, 0.03, 0.02, 0.015, 0.01)
"""Lengths of a trial as shares of the run, longest first."""
PREFERRED_RUN_FRACTION = 0.1
"""Of the run: shorter trials say little of how it ends."""
MIN_TESTED_CAUSES = 8
"""Causes raced even where that makes the trials shorter than they should be."""
MIN_CAUSES_OVER_BUDGET = 6
"""Causes raced where even the shortest trials take longer than is allowed."""
START_SECONDS = 0.3
"""Of a trial before its first step: text, network, optimizer. Measured: 0.1 s on 60 kB of text that
was prepared before, somewhat more on megabytes."""
STEP_SECONDS = 0.005
"""Of a step of any size, for all that is not arithmetic. Measured: networks 32 wide of one layer,
where twice the width took 1.6 times as long."""
FIRST_SERIES_FRACTION = 0.65
"""Share of the time allowed for the first race; the rest is for a second fault."""
CLOSE = 0.5
"""Share of the best gain that a remedy must have shown to run with more seeds: what gained not half
as much will not be the best after all."""
POSSIBLE = 0.7
"""Of what a gain must reach to count, that one seed must have shown to run with more."""
FOLLOW_UP_RELATIVE_EFFECT = 0.002
"""Share of the loss that a remedy must gain on one seed to be followed up: below, it is lost in the
noise."""
NEARLY_FULL = 0.7
"""Share of the run from which a trial counts as of full length."""
OF_THE_CURVE = ""
"""Stands for the cause of a lane that is no remedy: the control at another length, a point of the
curve by length that gains of trials shorter than the run are carried along."""
HALF_STEPS = Treatment(OF_THE_CURVE, TreatmentChange("half the steps", {}, steps=0.5))

ProgressCallback = Callable[[str, float], None]


@dataclass
class TrialSeries:
    """All outcomes so far, by lane (None: the control) and seed; grows while it runs."""

    recorded_run: RunContext
    base: RunConfig
    steps: int
    """Length of the control, in steps of the run examined."""
    deadline: float
    """When the time allowed is spent (monotonic seconds)."""
    progress: ProgressCallback
    results: dict[tuple[Treatment | None, int], TrialResult] = field(default_factory=dict)
    invalid_treatments: dict[Treatment, str] = field(default_factory=dict)
    """Lanes that could not run, and why."""
    full_length_factor: float = 1.0
    """Length of a full run of `base` over that of the run examined."""
    known_curve: InterpolatedCurve | None = None
    """The curve by length of the run examined, where `base` has remedies that it had not."""
    head_start: float = 1.0
    """Steps on `known` that one step of `base` is worth."""
    seconds: float = 0.0

    @property
    def run_fraction(self) -> float:
        """Length of the control over that of a full run of `base`."""
        return self.steps / max(self.recorded_run.total_steps * self.full_length_factor, 1.0)

    def too_short_for(self, change: TreatmentChange) -> bool:
        """Whether nothing of `change` could show in its trials."""
        return change.min_run_fraction > self.run_fraction

    def long_enough_for(
        self, treatment_sequences: Sequence[list[Treatment]]
    ) -> list[list[Treatment]]:
        """Those of `ladders` of which something could show."""
        return [
            sequence
            for sequence in treatment_sequences
            if not self.too_short_for(sequence[0].change)
        ]

    @property
    def seed(self) -> int:
        """The run's own."""
        return self.recorded_run.config.seed

    @property
    def seeds(self) -> list[int]:
        """The run's own seed and those that the best few may run with as well."""
        return [self.seed + n for n in range(MAX_SEEDS)]

    def treatments_run(self) -> list[Treatment]:
        """Every remedy that ran."""
        ran = dict.fromkeys(treatment for treatment, _ in self.results)
        return [
            treatment
            for treatment in ran
            if treatment is not None and treatment.cause != OF_THE_CURVE
        ]

    @property
    def lengths(self) -> dict[float, float]:
        """Loss of the control by length in steps, for every length that it ran with."""
        ran = {treatment: o for (treatment, seed), o in self.results.items() if seed == self.seed}
        losses = {
            treatment.change.steps * self.steps: best_validation_point(o)[0]
            for treatment, o in ran.items()
            if treatment is not None
            and treatment.change.keys.keys() <= {"epoch"}
            and treatment.change.steps != 1.0
        }
        return {float(self.steps): best_validation_point(ran[None])[0]} | losses

    @property
    def is_full_length(self) -> bool:
        """Whether its trials are as good as of full length."""
        return self.run_fraction >= NEARLY_FULL

    def remaining_seconds(self) -> float:
        """Seconds that may still be spent."""
        return self.deadline - time.monotonic()

    def run(self, treatment_seeds: Sequence[tuple[Treatment | None, int]], stage: str) -> None:
        """Make the runs that are not there yet, side by side.

        On this machine alone, by whose speed their length was chosen, whatever cluster is named.
        """
        arms: dict[tuple[Treatment | None, int], TrialSpec] = {}
        for treatment, seed in treatment_seeds:
            if (treatment, seed) not in self.results and treatment not in self.invalid_treatments:
                spec = self.make_spec(treatment, seed)
                if spec is not None:
                    arms[treatment, seed] = spec
        if not arms:
            return
        began = time.monotonic()

        fractions: dict[str, float] = {}

        def report_progress(trial_progress: TrialProgress) -> None:
            fractions[trial_progress.key] = trial_progress.fraction_done
            self.progress(stage, sum(fractions.values()) / trial_progress.total)

        self.progress(stage, 0.0)
        try:
            results = run_trials(list(arms.values()), on_progress=report_progress, here=True)
            self.results.update(zip(arms, results, strict=True))
        except DescendError:
            self._one_by_one(arms)
        self.seconds += time.monotonic() - began

    def _one_by_one(self, arms: Mapping[tuple[Treatment | None, int], TrialSpec]) -> None:
        """The same runs after one of them failed: what does not fit or go together is left out."""
        for (treatment, seed), spec in arms.items():
            try:
                self.results[treatment, seed] = run_trials([spec], here=True)[0]
            except DescendError as problem:
                if treatment is None and seed == self.seed:
                    raise
                if treatment is not None:
                    self.invalid_treatments[treatment] = _reason(problem)

    def make_spec(self, treatment: Treatment | None, seed: int) -> TrialSpec | None:
        """The run of `lane`; None, with the reason kept, where the settings do not allow it."""
        try:
            return make_treatment_spec(
                self.recorded_run,
                self.base,
                treatment.change if treatment else None,
                self.steps,
                seed,
            )
        except DescendError as problem:
            if treatment is None:
                raise
            self.invalid_treatments[treatment] = _reason(problem)
            return None

    def loss(self, treatment: Treatment | None, seed: int) -> float | None:
        """Lowest held-out loss of that run, in nats per token of the run's own tokenizer."""
        result, control = self.results.get((treatment, seed)), self.results.get((None, seed))
        if result is None or control is None:
            return None
        return comparable_loss(result, control, treatment.change if treatment else None)

    @property
    def follow_up_threshold_nats(self) -> float:
        """Nats from which a gain on one seed is followed up."""
        return FOLLOW_UP_RELATIVE_EFFECT * (self.loss(None, self.seed) or 0.0)

    def loss_reductions(self, treatment: Treatment) -> list[float]:
        """Control minus treated (nats), for every seed that both ran with."""
        sign = -1.0 if treatment.change.is_ablation else 1.0
        reductions = []
        for seed in self.seeds:
            control, treatment_loss = self.loss(None, seed), self.loss(treatment, seed)
            if control is not None and treatment_loss is not None:
                reductions.append(sign * (control - treatment_loss))
        return reductions


def _reason(problem: DescendError) -> str:
    return f"{problem.location} {problem.actual}: expected {problem.expected}"


def best_validation_point(result: TrialResult) -> tuple[float, float]:
    """Held-out loss and bits per byte where the loss was lowest: those weights are kept."""
    points = [(p.validation_loss, p.bits_per_byte) for p in result.curve]
    return min([*points, (result.validation_loss, result.bits_per_byte)])


def comparable_loss(
    result: TrialResult, control: TrialResult, change: TreatmentChange | None
) -> float:
    """Nats per token; across tokenizers by bits per byte, in tokens of the control's size."""
    loss, bits = best_validation_point(result)
    if change is None or not change.changes_vocabulary:
        return loss
    own, own_bits = best_validation_point(control)
    return bits * own / max(own_bits, 1e-12)


def choose_trial_length(
    recorded_run: RunContext,
    base: RunConfig,
    treatment_sequences: Sequence[Sequence[Treatment]],
    seconds: float,
) -> tuple[int, int]:
    """Length of the control in steps, and how many of `ladders` to race, within `seconds`.

    Worked out from the run's own speed alone, so that the same diagnosis asks for the same trials
    again and takes up those that are kept. Fewer suspects before trials under `GOOD_SHARE`.
    """
    total = max(recorded_run.total_steps, 1)
    fractions = [s for s in RUN_FRACTIONS if s * total >= MIN_STEPS] or [1.0]
    for min_fraction in (PREFERRED_RUN_FRACTION, 0.0):
        for count in range(
            len(treatment_sequences), min(MIN_TESTED_CAUSES, len(treatment_sequences)) - 1, -1
        ):
            for fraction in fractions:
                steps = round(fraction * total)
                if fraction >= min_fraction and _series_seconds(
                    recorded_run, base, treatment_sequences[:count], steps
                ) <= (seconds):
                    return steps, count
    return round(fractions[-1] * total), min(MIN_CAUSES_OVER_BUDGET, len(treatment_sequences))


def first_round_seconds(
    recorded_run: RunContext,
    base: RunConfig,
    treatment_sequences: Sequence[Sequence[Treatment]],
    steps: int,
) -> float:
    """What the first round will take here: it is not cut short."""
    series = TrialSeries(recorded_run, base, steps, 0.0, lambda stage, fraction: None)
    return seconds_for(series, [None, *(x[0] for x in treatment_sequences)])


def seconds_for(series: TrialSeries, treatments: Sequence[Treatment | None]) -> float:
    """What running all of `lanes` once will take here, side by side."""
    arms = (series.make_spec(treatment, series.seed) for treatment in treatments)
    return sum(_trial_seconds(series.recorded_run, spec) for spec in arms) / num_parallel_trials(
        series.base
    )


def num_parallel_trials(base: RunConfig) -> int:
    """Trials that run side by side here: one a core, and one alone on a GPU."""
    return workers_for_devices({base.device})


def _series_seconds(
    recorded_run: RunContext,
    base: RunConfig,
    treatment_sequences: Sequence[Sequence[Treatment]],
    steps: int,
) -> float:
    """What a race will take here: all first remedies, two stronger ones, more seeds of the best."""
    control = make_treatment_spec(recorded_run, base, None, steps, recorded_run.config.seed)
    more = (2 + (SEEDS - 1) * (FINALISTS + 1)) * _trial_seconds(recorded_run, control)
    return first_round_seconds(
        recorded_run, base, treatment_sequences, steps
    ) + more / num_parallel_trials(base)


def _trial_seconds(recorded_run: RunContext, planned: TrialSpec | None) -> float:
    """Seconds of a trial by the run's own speed and the operations that each takes."""
    if planned is None:
        return 0.0
    config, own = make_config(planned.config), recorded_run.config
    vocabulary = config.vocab_size or recorded_run.shape.vocab_size
    operations = training_flops_per_token(shape_from_run_config(config, vocabulary), config.seq_len)
    ratio = operations / training_flops_per_token(recorded_run.shape, own.seq_len)
    # A trial has one thread; the run's own speed is that of all its threads.
    threads = recorded_run.execution.threads if recorded_run.execution.device == "cpu" else 1
    own_step = recorded_run.seconds_per_step * threads
    fixed = min(STEP_SECONDS, own_step / 2)
    per_token = (own_step - fixed) / recorded_run.tokens_per_step * ratio
    steps = planned.steps or 0
    validation_tokens = (
        len(recorded_run.store.validation) if recorded_run.store else planned.evaluation_tokens
    )
    evaluation_tokens = min(planned.evaluation_tokens, validation_tokens)
    looks = 1 + (steps // planned.evaluate_every if planned.evaluate_every else 0)
    trained = steps * config.batch_size * config.seq_len
    return START_SECONDS + steps * fixed + per_token * (trained + looks * evaluation_tokens / 3)


def run_trial_series(
    series: TrialSeries, treatment_sequences: Sequence[Sequence[Treatment]], stage: str
) -> None:
    """Race the `ladders`, strongest suspicion first, until all is known or time is spent."""
    draws_curve = not series.is_full_length and series.known_curve is None
    first = [
        None,
        *(sequence[0] for sequence in treatment_sequences),
        *([HALF_STEPS] if draws_curve else []),
    ]
    series.run([(treatment, series.seed) for treatment in first], stage)
    climbing = list(treatment_sequences)
    for level in range(1, max((len(sequence) for sequence in treatment_sequences), default=0)):
        climbing = [
            x
            for x in climbing
            if len(x) > level
            and not series.too_short_for(x[level].change)
            and _improves_at_level(series, x, level)
        ]
        climbing.sort(key=lambda x: -series.loss_reductions(x[level - 1])[0])
        climbing = climbing[: _that_leave_time(series, [x[level] for x in climbing[:FINALISTS]])]
        if not climbing:
            break
        series.run([(x[level], series.seed) for x in climbing], f"{stage}: stronger")
    finalists = _finalists(series, treatment_sequences)
    for seed in series.seeds[1:SEEDS]:
        if not finalists or series.remaining_seconds() <= 0:
            break
        series.run(
            [(None, seed), *((treatment, seed) for treatment in finalists)], f"{stage}: more seeds"
        )
    if finalists and draws_curve and fits_in_budget(series, [twice := _twice_the_run(series)]):
        series.run([(twice, series.seed)], f"{stage}: twice the run")


def _twice_the_run(series: TrialSeries) -> Treatment:
    """Where a remedy seems to be worth more steps, what those are worth where the run ended."""
    longer = TreatmentChange(
        "twice the run",
        {"epoch": 2 * (series.base.epoch or 1)},
        steps=2 / series.run_fraction,
    )
    return Treatment(OF_THE_CURVE, longer)


def fits_in_budget(series: TrialSeries, treatments: Sequence[Treatment | None]) -> bool:
    """Whether all of `lanes` can be run in the time that is left."""
    return seconds_for(series, treatments) <= series.remaining_seconds()


def _finalists(
    series: TrialSeries, treatment_sequences: Sequence[Sequence[Treatment]]
) -> list[Treatment]:
    """The remedies that run with more seeds: those that may turn out to count, the best first."""
    control = series.loss(None, series.seed) or 0.0
    promise = {
        treatment: series.loss_reductions(treatment)[0] * treatment.change.inverse_effect_fraction
        for sequence in treatment_sequences
        if (treatment := best_treatment(series, sequence))
    }
    candidates = [x for x in promise if promise[x] > POSSIBLE * min_effect_nats(x, control)]
    candidates.sort(key=lambda treatment: -promise[treatment])
    best = promise[candidates[0]] if candidates else 0.0
    return [treatment for treatment in candidates if promise[treatment] >= CLOSE * best][:FINALISTS]


def _that_leave_time(series: TrialSeries, treatments: Sequence[Treatment]) -> int:
    """How many of `wanted` leave time to run the best few with more seeds: what gained once only
    proves little, however strong the remedy."""
    side_by_side = num_parallel_trials(series.base)
    # Seconds at work, of which the clock of the wall shows more where others have the cores.
    control = series.results[None, series.seed].seconds * contention_factor(side_by_side)
    again = (SEEDS - 1) * control / side_by_side
    seeds, usual = (FINALISTS + 1) * again, max(seconds_for(series, [None]), 1e-9)
    count = 0
    for treatment in treatments:
        own = seconds_for(series, [treatment])
        seeds += own + again * max(0.0, own / usual - 1)  # a longer one takes longer each time
        if seeds > series.remaining_seconds():
            break
        count += 1
    return count


def _improves_at_level(series: TrialSeries, sequence: Sequence[Treatment], level: int) -> bool:
    """Whether the remedy below `rung` was worth no less than those below it, and more than none."""
    reductions = [
        g[0] * treatment.cost_weight
        for treatment in sequence[:level]
        if (g := series.loss_reductions(treatment))
    ]
    return (
        len(reductions) == level
        and reductions[-1] > series.follow_up_threshold_nats
        and reductions[-1] >= max(reductions)
    )


def best_treatment(series: TrialSeries, sequence: Sequence[Treatment]) -> Treatment | None:
    """The remedy of a ladder whose gain on the run's own seed is worth most."""
    ran = [treatment for treatment in sequence if series.loss_reductions(treatment)]
    return (
        max(ran, key=lambda treatment: series.loss_reductions(treatment)[0] * treatment.cost_weight)
        if ran
        else None
    )
