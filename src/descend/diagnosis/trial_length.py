"""How long the trials of a series are, and how many fit in the time allowed."""

from __future__ import annotations

from collections.abc import Sequence

from descend.config import RunConfig, make_config
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.treatments import Treatment, make_treatment_spec
from descend.diagnosis.trial_budget import (
    TRIAL_START_SECONDS,
    TrialBudget,
    evaluated_tokens,
)
from descend.diagnosis.trial_series import FINALISTS, SEEDS, TrialSeries, make_series_spec
from descend.model.cost import training_flops_per_token
from descend.model.shape import shape_from_run_config
from descend.progress import ignore_progress
from descend.trials.executor import workers_for_devices
from descend.trials.trial_spec import TrialSpec

MIN_STEPS = 60
"""Shortest trial, where no longer one fits: warmup and decay keep their fraction of it, and what a
run lacks shows in its first steps already. First guess."""
RUN_FRACTIONS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.125, 0.09, 0.06, 0.045, 0.03, 0.02, 0.015, 0.01)
"""Lengths of a trial as shares of the run, longest first."""
PREFERRED_RUN_FRACTION = 0.1
"""Of the run: shorter trials say little of how it ends."""
MIN_TESTED_CAUSES = 8
"""Causes tested even where that makes the trials shorter than they should be."""
MIN_CAUSES_OVER_BUDGET = 6
"""Causes tested where even the shortest trials take longer than is allowed."""
STEP_SECONDS = 0.005
"""Of a step of any size, for all that is not arithmetic. Measured: networks 32 wide of one layer,
where twice the width took 1.6 times as long."""


def choose_trial_length(
    recorded_run: RunContext,
    base: RunConfig,
    treatment_sequences: Sequence[Sequence[Treatment]],
    seconds: float,
) -> tuple[int, int]:
    """Length of the control in steps, and how many of `treatment_sequences` to test, within
    `seconds`.

    Worked out from the run's own speed alone, so that the same diagnosis asks for the same trials
    again and takes up those that are kept. Fewer causes before trials under
    `PREFERRED_RUN_FRACTION`.
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
    """Return what the first round will take here: it is not cut short."""
    series = TrialSeries(recorded_run, base, steps, TrialBudget(0.0), ignore_progress)
    return seconds_for(series, [None, *(x[0] for x in treatment_sequences)])


def seconds_for(series: TrialSeries, treatments: Sequence[Treatment | None]) -> float:
    """Return what running all of `treatments` once will take here, side by side."""
    specs = (make_series_spec(series, treatment, series.seed) for treatment in treatments)
    return sum(_trial_seconds(series.recorded_run, spec) for spec in specs) / num_parallel_trials(
        series.base
    )


def num_parallel_trials(base: RunConfig) -> int:
    """Return trials that run side by side here: one a core, and one alone on a GPU."""
    return workers_for_devices({base.device})


def _series_seconds(
    recorded_run: RunContext,
    base: RunConfig,
    treatment_sequences: Sequence[Sequence[Treatment]],
    steps: int,
) -> float:
    """Return what a trial series will take here: all first treatments, two stronger ones, more
    seeds of the best."""
    control = make_treatment_spec(recorded_run, base, None, steps, recorded_run.config.seed)
    more = (2 + (SEEDS - 1) * (FINALISTS + 1)) * _trial_seconds(recorded_run, control)
    return first_round_seconds(
        recorded_run, base, treatment_sequences, steps
    ) + more / num_parallel_trials(base)


def _trial_seconds(recorded_run: RunContext, planned: TrialSpec | None) -> float:
    """Return seconds of a trial by the run's own speed and the operations that each takes."""
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
    evaluated = evaluated_tokens(planned, steps, validation_tokens)
    trained = steps * config.batch_size * config.seq_len
    return TRIAL_START_SECONDS + steps * fixed + per_token * (trained + evaluated / 3)


def fits_in_budget(series: TrialSeries, treatments: Sequence[Treatment | None]) -> bool:
    """Return whether all of `treatments` can be run in the time that is left."""
    return series.budget.allows(seconds_for(series, treatments))
