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
from descend.doctor.case import RecordedRun
from descend.doctor.cause import TreatmentChange
from descend.doctor.lanes import Treatment, make_treatment_spec, min_effect_nats
from descend.errors import DescendError
from descend.machine import contention_factor
from descend.model.cost import training_flops_per_token
from descend.model.shape import shape_from_run_config
from descend.signals.curve import InterpolatedCurve
from descend.trials.arms import TrialSpec, TrialResult
from descend.trials.executor import TrialProgress, run_trials, workers_for_devices

SEEDS = 3
"""Pairs of runs for the best few: with the pooled spread, enough for 0.02 nat (prototype)."""
MOST_SEEDS = 12
"""Pairs for those that three leave in doubt, while time is left."""
FINALISTS = 3
"""Causes that run with all seeds."""
FEWEST_STEPS = 100
"""Shortest trial: in fewer steps a run hardly gets past its warmup."""
RUN_FRACTIONS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.125, 0.09, 0.06, 0.045, 0.03, 0.02, 0.015, 0.01)
"""Lengths of a trial as shares of the run, longest first."""
GOOD_SHARE = 0.1
"""Of the run: shorter trials say little of how it ends."""
LEAST_SUSPECTS = 8
"""Causes raced even where that makes the trials shorter than they should be."""
FEWEST_SUSPECTS = 6
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

Told = Callable[[str, float], None]


@dataclass
class TrialSeries:
    """All outcomes so far, by lane (None: the control) and seed; grows while it runs."""

    recorded_run: RecordedRun
    base: RunConfig
    steps: int
    """Length of the control, in steps of the run examined."""
    deadline: float
    """When the time allowed is spent (monotonic seconds)."""
    progress: Told
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
    def share_of_run(self) -> float:
        """Length of the control over that of a full run of `base`."""
        return self.steps / max(self.recorded_run.total_steps * self.full_length_factor, 1.0)

    def too_short_for(self, change: TreatmentChange) -> bool:
        """Whether nothing of `change` could show in its trials."""
        return change.min_run_fraction > self.share_of_run

    def long_enough_for(self, ladders: Sequence[list[Treatment]]) -> list[list[Treatment]]:
        """Those of `ladders` of which something could show."""
        return [ladder for ladder in ladders if not self.too_short_for(ladder[0].change)]

    @property
    def seed(self) -> int:
        """The run's own."""
        return self.recorded_run.config.seed

    @property
    def seeds(self) -> list[int]:
        """The run's own seed and those that the best few may run with as well."""
        return [self.seed + n for n in range(MOST_SEEDS)]

    def treatments_run(self) -> list[Treatment]:
        """Every remedy that ran."""
        ran = dict.fromkeys(lane for lane, _ in self.results)
        return [lane for lane in ran if lane is not None and lane.cause != OF_THE_CURVE]

    @property
    def lengths(self) -> dict[float, float]:
        """Loss of the control by length in steps, for every length that it ran with."""
        ran = {lane: o for (lane, seed), o in self.results.items() if seed == self.seed}
        found = {lane.change.steps * self.steps: best_validation_point(o)[0] for lane, o in ran.items()
                 if lane is not None and lane.change.keys.keys() <= {"epoch"}
                 and lane.change.steps != 1.0}  # fmt: skip
        return {float(self.steps): best_validation_point(ran[None])[0]} | found

    @property
    def is_full_length(self) -> bool:
        """Whether its trials are as good as of full length."""
        return self.share_of_run >= NEARLY_FULL

    def remaining_seconds(self) -> float:
        """Seconds that may still be spent."""
        return self.deadline - time.monotonic()

    def run(self, wanted: Sequence[tuple[Treatment | None, int]], stage: str) -> None:
        """Make the runs that are not there yet, side by side.

        On this machine alone, by whose speed their length was chosen, whatever cluster is named.
        """
        arms: dict[tuple[Treatment | None, int], TrialSpec] = {}
        for lane, seed in wanted:
            if (lane, seed) not in self.results and lane not in self.invalid_treatments:
                arm = self.make_spec(lane, seed)
                if arm is not None:
                    arms[lane, seed] = arm
        if not arms:
            return
        began = time.monotonic()

        shares: dict[str, float] = {}

        def told(news: TrialProgress) -> None:
            shares[news.key] = news.fraction_done
            self.progress(stage, sum(shares.values()) / news.total)

        self.progress(stage, 0.0)
        try:
            found = run_trials(list(arms.values()), told=told, here=True)
            self.results.update(zip(arms, found, strict=True))
        except DescendError:
            self._one_by_one(arms)
        self.seconds += time.monotonic() - began

    def _one_by_one(self, arms: Mapping[tuple[Treatment | None, int], TrialSpec]) -> None:
        """The same runs after one of them failed: what does not fit or go together is left out."""
        for (lane, seed), arm in arms.items():
            try:
                self.results[lane, seed] = run_trials([arm], here=True)[0]
            except DescendError as problem:
                if lane is None and seed == self.seed:
                    raise
                if lane is not None:
                    self.invalid_treatments[lane] = _reason(problem)

    def make_spec(self, lane: Treatment | None, seed: int) -> TrialSpec | None:
        """The run of `lane`; None, with the reason kept, where the settings do not allow it."""
        try:
            return make_treatment_spec(self.recorded_run, self.base, lane.change if lane else None, self.steps, seed)
        except DescendError as problem:
            if lane is None:
                raise
            self.invalid_treatments[lane] = _reason(problem)
            return None

    def loss(self, lane: Treatment | None, seed: int) -> float | None:
        """Lowest held-out loss of that run, in nats per token of the run's own tokenizer."""
        outcome, control = self.results.get((lane, seed)), self.results.get((None, seed))
        if outcome is None or control is None:
            return None
        return comparable_loss(outcome, control, lane.change if lane else None)

    @property
    def follow_up_threshold_nats(self) -> float:
        """Nats from which a gain on one seed is followed up."""
        return FOLLOW_UP_RELATIVE_EFFECT * (self.loss(None, self.seed) or 0.0)

    def loss_reductions(self, lane: Treatment) -> list[float]:
        """Control minus treated (nats), for every seed that both ran with."""
        sign = -1.0 if lane.change.is_ablation else 1.0
        found = []
        for seed in self.seeds:
            control, treated = self.loss(None, seed), self.loss(lane, seed)
            if control is not None and treated is not None:
                found.append(sign * (control - treated))
        return found


def _reason(problem: DescendError) -> str:
    return f"{problem.location} {problem.found}: expected {problem.expected}"


def best_validation_point(outcome: TrialResult) -> tuple[float, float]:
    """Held-out loss and bits per byte where the loss was lowest: those weights are kept."""
    points = [(p.validation_loss, p.bits_per_byte) for p in outcome.curve]
    return min([*points, (outcome.validation_loss, outcome.bits_per_byte)])


def comparable_loss(outcome: TrialResult, control: TrialResult, change: TreatmentChange | None) -> float:
    """Nats per token; across tokenizers by bits per byte, in tokens of the control's size."""
    loss, bits = best_validation_point(outcome)
    if change is None or not change.changes_vocabulary:
        return loss
    own, own_bits = best_validation_point(control)
    return bits * own / max(own_bits, 1e-12)


def choose_trial_length(
    case: RecordedRun, base: RunConfig, ladders: Sequence[Sequence[Treatment]], seconds: float
) -> tuple[int, int]:
    """Length of the control in steps, and how many of `ladders` to race, within `seconds`.

    Worked out from the run's own speed alone, so that the same diagnosis asks for the same trials
    again and takes up those that are kept. Fewer suspects before trials under `GOOD_SHARE`.
    """
    total = max(case.total_steps, 1)
    shares = [s for s in RUN_FRACTIONS if s * total >= FEWEST_STEPS] or [1.0]
    for least_share in (GOOD_SHARE, 0.0):
        for count in range(len(ladders), min(LEAST_SUSPECTS, len(ladders)) - 1, -1):
            for share in shares:
                steps = round(share * total)
                if share >= least_share and _race_seconds(case, base, ladders[:count], steps) <= (
                    seconds
                ):
                    return steps, count
    return round(shares[-1] * total), min(FEWEST_SUSPECTS, len(ladders))


def first_round_seconds(
    case: RecordedRun, base: RunConfig, ladders: Sequence[Sequence[Treatment]], steps: int
) -> float:
    """What the first round will take here: it is not cut short."""
    race = TrialSeries(case, base, steps, 0.0, lambda stage, share: None)
    return seconds_for(race, [None, *(x[0] for x in ladders)])


def seconds_for(race: TrialSeries, lanes: Sequence[Treatment | None]) -> float:
    """What running all of `lanes` once will take here, side by side."""
    arms = (race.make_spec(lane, race.seed) for lane in lanes)
    return sum(_arm_seconds(race.recorded_run, arm) for arm in arms) / num_parallel_trials(race.base)


def num_parallel_trials(base: RunConfig) -> int:
    """Trials that run side by side here: one a core, and one alone on a GPU."""
    return workers_for_devices({base.device})


def _race_seconds(
    case: RecordedRun, base: RunConfig, ladders: Sequence[Sequence[Treatment]], steps: int
) -> float:
    """What a race will take here: all first remedies, two stronger ones, more seeds of the best."""
    control = make_treatment_spec(case, base, None, steps, case.config.seed)
    more = (2 + (SEEDS - 1) * (FINALISTS + 1)) * _arm_seconds(case, control)
    return first_round_seconds(case, base, ladders, steps) + more / num_parallel_trials(base)


def _arm_seconds(case: RecordedRun, planned: TrialSpec | None) -> float:
    """Seconds of a trial by the run's own speed and the operations that each takes."""
    if planned is None:
        return 0.0
    config, own = make_config(planned.config), case.config
    vocabulary = config.vocab_size or case.shape.vocab_size
    operations = training_flops_per_token(shape_from_run_config(config, vocabulary), config.seq_len)
    ratio = operations / training_flops_per_token(case.shape, own.seq_len)
    # A trial has one thread; the run's own speed is that of all its threads.
    threads = case.execution.threads if case.execution.device == "cpu" else 1
    own_step = case.seconds_per_step * threads
    fixed = min(STEP_SECONDS, own_step / 2)
    per_token = (own_step - fixed) / case.tokens_per_step * ratio
    steps = planned.steps or 0
    held_out = len(case.store.validation) if case.store else planned.evaluation_tokens
    judged = min(planned.evaluation_tokens, held_out)
    looks = 1 + (steps // planned.evaluate_every if planned.evaluate_every else 0)
    trained = steps * config.batch_size * config.seq_len
    return START_SECONDS + steps * fixed + per_token * (trained + looks * judged / 3)


def run_trial_series(race: TrialSeries, ladders: Sequence[Sequence[Treatment]], stage: str) -> None:
    """Race the `ladders`, strongest suspicion first, until all is known or time is spent."""
    draws_curve = not race.is_full_length and race.known_curve is None
    first = [None, *(ladder[0] for ladder in ladders), *([HALF_STEPS] if draws_curve else [])]
    race.run([(lane, race.seed) for lane in first], stage)
    climbing = list(ladders)
    for rung in range(1, max((len(ladder) for ladder in ladders), default=0)):
        climbing = [
            x for x in climbing
            if len(x) > rung and not race.too_short_for(x[rung].change) and _gains_by(race, x, rung)
        ]  # fmt: skip
        climbing.sort(key=lambda x: -race.loss_reductions(x[rung - 1])[0])
        climbing = climbing[: _that_leave_time(race, [x[rung] for x in climbing[:FINALISTS]])]
        if not climbing:
            break
        race.run([(x[rung], race.seed) for x in climbing], f"{stage}: stronger")
    finalists = _finalists(race, ladders)
    for seed in race.seeds[1:SEEDS]:
        if not finalists or race.remaining_seconds() <= 0:
            break
        race.run([(None, seed), *((lane, seed) for lane in finalists)], f"{stage}: more seeds")
    if finalists and draws_curve and fits_in_budget(race, [twice := _twice_the_run(race)]):
        race.run([(twice, race.seed)], f"{stage}: twice the run")


def _twice_the_run(race: TrialSeries) -> Treatment:
    """Where a remedy seems to be worth more steps, what those are worth where the run ended."""
    longer = TreatmentChange(
        "twice the run",
        {"epoch": 2 * (race.base.epoch or 1)},
        steps=2 / race.share_of_run,
    )
    return Treatment(OF_THE_CURVE, longer)


def fits_in_budget(race: TrialSeries, lanes: Sequence[Treatment | None]) -> bool:
    """Whether all of `lanes` can be run in the time that is left."""
    return seconds_for(race, lanes) <= race.remaining_seconds()


def _finalists(race: TrialSeries, ladders: Sequence[Sequence[Treatment]]) -> list[Treatment]:
    """The remedies that run with more seeds: those that may turn out to count, the best first."""
    control = race.loss(None, race.seed) or 0.0
    promise = {
        lane: race.loss_reductions(lane)[0] * lane.change.inverse_effect_fraction
        for ladder in ladders
        if (lane := best_treatment(race, ladder))
    }
    wanted = [x for x in promise if promise[x] > POSSIBLE * min_effect_nats(x, control)]
    wanted.sort(key=lambda lane: -promise[lane])
    best = promise[wanted[0]] if wanted else 0.0
    return [lane for lane in wanted if promise[lane] >= CLOSE * best][:FINALISTS]


def _that_leave_time(race: TrialSeries, wanted: Sequence[Treatment]) -> int:
    """How many of `wanted` leave time to run the best few with more seeds: what gained once only
    proves little, however strong the remedy."""
    side_by_side = num_parallel_trials(race.base)
    # Seconds at work, of which the clock of the wall shows more where others have the cores.
    control = race.results[None, race.seed].seconds * contention_factor(side_by_side)
    again = (SEEDS - 1) * control / side_by_side
    seeds, usual = (FINALISTS + 1) * again, max(seconds_for(race, [None]), 1e-9)
    count = 0
    for lane in wanted:
        own = seconds_for(race, [lane])
        seeds += own + again * max(0.0, own / usual - 1)  # a longer one takes longer each time
        if seeds > race.remaining_seconds():
            break
        count += 1
    return count


def _gains_by(race: TrialSeries, ladder: Sequence[Treatment], rung: int) -> bool:
    """Whether the remedy below `rung` was worth no less than those below it, and more than none."""
    gains = [g[0] * lane.cost_weight for lane in ladder[:rung] if (g := race.loss_reductions(lane))]
    return len(gains) == rung and gains[-1] > race.follow_up_threshold_nats and gains[-1] >= max(gains)


def best_treatment(race: TrialSeries, ladder: Sequence[Treatment]) -> Treatment | None:
    """The remedy of a ladder whose gain on the run's own seed is worth most."""
    ran = [lane for lane in ladder if race.loss_reductions(lane)]
    return max(ran, key=lambda lane: race.loss_reductions(lane)[0] * lane.cost_weight) if ran else None
