"""What a diagnosis says: the records behind `diagnose --json` and diagnosis.json."""

from __future__ import annotations

import math
from typing import Any

import msgspec

SCHEMA = 1
BROKE_OFF = "broke_off"
PROGRAM_BUGS = ("weights_not_in_optimizer", "step_never_called", "weights_frozen")
"""Bugs that `descend.watch` names: verdicts of the run that it recorded."""
"""The verdict on another program's log whose run broke off, where its curve has no fault."""
DEFAULT_BUDGET = 0.15
"""Fraction of the run's own training time that its trials may take, by default."""

MIN_DIAGNOSIS_SECONDS, MAX_MIN_DIAGNOSIS_SECONDS, MIN_DIAGNOSIS_RUN_MULTIPLE = 60.0, 180.0, 4.0
"""Seconds that a diagnosis may always take, since a run of seconds would otherwise allow no trial
at all: so many times the run, at least and at most so long. A run under 15 seconds is answered in a
minute."""
OVERHEAD_SECONDS = 13.0
"""Of a diagnosis, for what is no trial: reading torch and the run, and measuring. Origin: 5 seconds
of one core for 200 kB and two layers, 12 on a slower one."""


def diagnosis_seconds(full: float) -> float:
    """Return seconds that the diagnosis of a run of `full` seconds takes, all in all."""
    return trial_budget_seconds(full) + OVERHEAD_SECONDS


def trial_budget_seconds(
    full: float, budget: float = DEFAULT_BUDGET, min_seconds: float | None = None
) -> float:
    """Return seconds that the trials of a run of `full` seconds may take: its share, or at the
    least `min_seconds` (None: what every run is given)."""
    if min_seconds is None:
        seconds = MIN_DIAGNOSIS_RUN_MULTIPLE * full
        seconds = min(max(seconds, MIN_DIAGNOSIS_SECONDS), MAX_MIN_DIAGNOSIS_SECONDS)
        min_seconds = seconds - OVERHEAD_SECONDS
    return max(budget * full, min_seconds)


class Evidence(msgspec.Struct, frozen=True):
    """A number and why it speaks for (or is reported beside) a cause."""

    metric: str
    value: float
    unit: str
    healthy_range: tuple[float | None, float | None]
    reason: str
    ci95: tuple[float, float] | None = None
    """Of `value`, where it is an estimate that has one."""


LOSS_METRIC = "validation loss, nats per token"
NEW_VOCABULARY_METRIC = f"{LOSS_METRIC} of the new vocabulary"
"""Metric of a second trial where the first changed the vocabulary: its tokens are of another size
than those of the first trial."""


class PairedTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A cause's treatment against the run's own settings: equal seed, data order and evaluation.

    `loss_reduction` is control minus treated in `metric` (of what was taken away on purpose, such
    as half the text, treated minus control: what that costs), `ci95` its 95 % interval. Both are
    over `seeds` pairs of runs of `tokens` training tokens each (the control's). `seconds` is the
    training of all of them, counted as in `TrialResult`.
    """

    metric: str
    change: str
    control_loss: float
    treatment_loss: float
    loss_reduction: float
    ci95: tuple[float, float] | None
    p_holm: float
    """Chance of such a gain if the change did nothing, after Holm's correction over all tested."""
    seeds: int
    tokens: int
    run_fraction: float
    """The control's length as a fraction of the run that is diagnosed (1: as long)."""
    seconds: float
    cost_factor: float
    """Training time of the treated run over the control's."""
    loss_reduction_at_equal_time: float | None = None
    """Where the treatment costs time: the gain over a control that trains as long in seconds."""
    extrapolated_loss_reduction: float | None = None
    """Where the trial is shorter than the run: the gain expected at its full length (nats)."""
    full_length_loss_reduction: float | None = None
    """The gain over the run itself in a trial of its full length, where that was run (nats)."""
    is_significant: bool | None = None
    """Whether the gain is no chance and large enough in a run of full length, as the diagnosis
    judges it; None where that was not judged."""
    is_inconclusive: bool = False
    """The gain is as large as would count in a run of full length, and may be chance."""
    applied_causes: list[str] = []
    """Causes whose treatments both sides already had (for the second fault of a double one)."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A cause that holds: how likely, why, what to do."""

    cause: str
    probability: float
    """That its treatment is the best worth having; beside text that is short, the best setting."""
    evidence: list[Evidence]
    recommended_config: dict[str, Any]
    advice: str
    """What to do, as a sentence; some treatments are no setting."""
    trial: PairedTrial | None = None


class OtherCause(msgspec.Struct, frozen=True, kw_only=True):
    """A cause that does not hold, or is not the one, and the number that says so."""

    cause: str
    reason: str
    trial: PairedTrial | None = None
    is_untested: bool = False
    """Others were tested and it was not: less spoke for it, or no trial so short could show it."""

    @property
    def is_inconclusive(self) -> bool:
        """Whether its trial left it inconclusive."""
        return self.trial is not None and self.trial.is_inconclusive

    @property
    def also_improves(self) -> bool:
        """Whether its treatment gained as well, and would count by itself: less than that of the
        cause found, so it is not known what is left of that gain once this one is fixed."""
        return self.trial is not None and bool(self.trial.is_significant)


class Cost(msgspec.Struct, frozen=True):
    """What the diagnosis took; `fraction_of_run` is `seconds` over the run's own training time."""

    seconds: float
    fraction_of_run: float


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """`diagnose --json`. `verdict`: `healthy`, `unknown`, or the first of `causes`."""

    run: str
    verdict: str
    probability: float
    """Of the verdict; see docs/diagnose.md for what it counts."""
    causes: list[Finding]
    ruled_out: list[OtherCause]
    measurements: list[Evidence]
    """All that was read off the run, for `--verbose`."""
    warnings: list[str]
    """What could not be looked at, and why; how long the trials were."""
    cost: Cost
    untested_reason: str | None = None
    """Why nothing was tried, and what would let it be, as a sentence; None where trials were made.
    Of notes it is one."""
    schema: int = SCHEMA


MAX_BUDGET = 100.0
"""Times the training time of the run that trials may take at most."""


def larger_trial_budget(cost: Cost) -> float | None:
    """Return the `--trial-budget` that allows trials twice the time that they were given, or None
    where none does.

    A run of seconds is given more than its share already, so that a somewhat larger share would
    change nothing.
    """
    if cost.fraction_of_run <= 0:
        return None
    full = cost.seconds / cost.fraction_of_run
    needed = 2 * max(trial_budget_seconds(full), cost.seconds) / max(full, 1e-9)
    budget = math.ceil(needed) if needed > 1 else math.ceil(10 * needed) / 10
    return budget if budget <= MAX_BUDGET else None


def has_trials(diagnosis: Diagnosis) -> bool:
    """Return whether any trial was made at all."""
    findings: list[Finding | OtherCause] = [*diagnosis.causes, *diagnosis.ruled_out]
    return any(one.trial is not None for one in findings)
