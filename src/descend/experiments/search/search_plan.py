"""What a search tries, and what it may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descend.config import RunConfig
from descend.errors import ConfigError
from descend.experiments.compare.arms import ComparisonArm
from descend.experiments.compare.comparison_trials import (
    BudgetUnit,
    check_budget,
    make_arm_spec,
)
from descend.experiments.search import study as studies
from descend.experiments.search.search_result import SearchKey
from descend.experiments.search.space import Param, complete_config
from descend.trials.timing.startup import worker_startup_seconds
from descend.trials.trial_spec import SEARCH_EVALUATION_TOKENS, TrialSpec


@dataclass(frozen=True)
class SearchBudget:
    """How long is searched, what is equal for all trials, and what is made of them."""

    minutes: float
    budget_unit: BudgetUnit = "seconds"
    budget: float | None = None
    """Of what `match` says, for each trial; None: what `LEAST_RUNS` of them leave it, or what the
    study began with."""
    seeds: int = 3
    """Pairs of the confirmation."""
    evaluation_tokens: int = SEARCH_EVALUATION_TOKENS
    workers: int | None = None
    """Trials at a time; None: one a core."""

    def check(self, space: list[Param]) -> None:
        """Raise `ConfigError` for what cannot be, whatever the text."""
        check_budget(self.budget, self.budget_unit)
        if not 0 < self.minutes < float("inf"):
            raise ConfigError("minutes", f"{self.minutes:g}", "a number above 0", "give some time")
        for span in space:
            if span.key in ("epoch", "max_steps") and self.budget_unit != "epoch":
                raise ConfigError(
                    "space", f"{span.key} with an equal number of {self.budget_unit}",
                    "a budget that epochs decide", "add --budget-unit epoch",
                )  # fmt: skip


@dataclass(frozen=True)
class SearchPlan:
    """What is searched, and what each trial costs here."""

    base: RunConfig
    space: list[Param]
    terms: SearchBudget
    budget: float | None
    """As it was settled; None where epochs decide."""
    workers: int
    file: Path
    search_key: SearchKey
    trial_seconds: float = 0.0
    """Seconds that one whole run of the base takes, its judgments with it."""
    training_seconds: float = 0.0
    """Seconds of training in it."""

    @property
    def confirmation_seconds(self) -> float:
        """Seconds that the confirmation will take."""
        return -(-2 * self.terms.seeds // self.workers) * self.trial_seconds

    @property
    def starting(self) -> float:
        """Seconds until the workers can train; those of the confirmation are started anew."""
        return worker_startup_seconds() if self.workers > 1 else 0.0

    @property
    def for_runs(self) -> float:
        """Seconds in which something is trained."""
        return self.seconds - 2 * self.starting

    @property
    def seconds(self) -> float:
        """For all of it."""
        return 60 * self.terms.minutes

    def make_spec(self, values: Mapping[str, Any]) -> TrialSpec:
        """Return the trial of `values`; `ConfigError` where they do not fit."""
        one = ComparisonArm("a trial", complete_config(self.base, values), tuple(values))
        return make_arm_spec(
            one,
            self.base.seed,
            budget_unit=self.terms.budget_unit,
            budget=self.budget,
            points=studies.EVALUATIONS_PER_TRIAL,
            evaluation_tokens=self.terms.evaluation_tokens,
        )
