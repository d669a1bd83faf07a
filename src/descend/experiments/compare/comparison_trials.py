"""Several configurations on one text, paired by seed, with an equal budget each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from descend.errors import ConfigError
from descend.experiments.compare.arms import ComparisonArm
from descend.experiments.compare.comparison_result import ArmResult, Comparison, SeedResult
from descend.experiments.estimate import estimate_mean
from descend.model.cost import training_memory
from descend.model.shape import shape_from_run_config
from descend.trials.executor import TrialCallback, ignore_progress, run_trials
from descend.trials.paired_stats import (
    ALPHA,
    Interval,
    holm_adjust,
    is_significant,
    paired_interval,
    paired_p_value,
)
from descend.trials.trial_spec import EVALUATION_TOKENS, TrialResult, TrialSpec, make_trial_spec

BudgetUnit = Literal["tokens", "seconds", "steps", "epoch"]
BUDGET_UNITS = ("tokens", "seconds", "steps", "epoch")


@dataclass(frozen=True)
class ComparisonPlan:
    """Which runs answer the question."""

    comparison_arms: Sequence[ComparisonArm]
    budget_unit: BudgetUnit
    budget: float | None
    seeds: list[int]
    specs: list[list[TrialSpec]]
    """Of each arm, one a seed."""

    @property
    def all_specs(self) -> list[TrialSpec]:
        """The runs, seed by seed: a series that is stopped has whole pairs."""
        return [of_arm[n] for n in range(len(self.seeds)) for of_arm in self.specs]


def plan_comparison(
    comparison_arms: Sequence[ComparisonArm],
    *,
    budget_unit: BudgetUnit = "tokens",
    budget: float | None = None,
    seeds: int = 3,
    points: int = 1,
    evaluation_tokens: int = EVALUATION_TOKENS,
) -> ComparisonPlan:
    """Return the runs of `comparison_arms` with `seeds` each, `points` judgments along each.

    With no `budget`, each has what the first one needs for its epochs. `ConfigError` for a budget
    that is none, is too small for a step or stands beside epochs, or for epochs that would be
    overruled.
    """
    check_budget(budget, budget_unit)
    if budget_unit != "epoch" and any("epoch" in c.varied for c in comparison_arms):
        raise ConfigError(
            "vary", f"epoch with an equal number of {budget_unit}", "a budget that epochs decide",
            "add --budget-unit epoch",
        )  # fmt: skip
    first = comparison_arms[0].config.seed
    numbers = [first + n for n in range(seeds)]
    if budget_unit != "epoch" and budget is None:
        budget = _budget_of(comparison_arms[0], budget_unit)
    each = partial(
        make_arm_spec,
        budget_unit=budget_unit,
        budget=budget,
        points=points,
        evaluation_tokens=evaluation_tokens,
    )
    specs = [[each(c, seed) for seed in numbers] for c in comparison_arms]
    return ComparisonPlan(comparison_arms, budget_unit, budget, numbers, specs)


def check_budget(budget: float | None, budget_unit: str) -> None:
    """Raise `ConfigError` for what is no way of making runs equal, or no amount of it."""
    if budget_unit not in BUDGET_UNITS:
        raise ConfigError(
            "budget_unit", str(budget_unit), " or ".join(BUDGET_UNITS), "choose one of those"
        )
    if budget is None:
        return
    if not 0 < budget < float("inf"):
        raise ConfigError("budget", f"{budget:g}", "a finite number above 0", "choose another")
    if budget_unit == "epoch":
        raise ConfigError("budget", f"{budget:g} beside --budget-unit epoch",
                          "epochs that decide it", "leave one of them out")  # fmt: skip


def run_comparison_trials(
    plan: ComparisonPlan,
    *,
    workers: int | None = None,
    on_progress: TrialCallback = ignore_progress,
) -> Comparison:
    """Carry the runs of `plan` out and set each arm against the first."""
    results = run_trials(plan.all_specs, workers=workers, on_progress=on_progress)
    by_key = dict(zip((spec.key for spec in plan.all_specs), results, strict=True))
    table = [[by_key[spec.key] for spec in of_arm] for of_arm in plan.specs]
    in_bits = len({o.vocab_size for row in table for o in row}) > 1
    losses = [[o.bits_per_byte if in_bits else o.validation_loss for o in row] for row in table]
    differences = [[x - y for x, y in zip(row, losses[0], strict=True)] for row in losses]
    corrected = holm_adjust([paired_p_value(d) for d in differences[1:]])
    in_nats = nats_per_unit(table[0], in_bits)
    of = float(np.mean(losses[0])) * in_nats
    verdicts = [
        _verdict(paired_interval([x * in_nats for x in d]), p, of)
        for d, p in zip(differences[1:], corrected, strict=True)
    ]
    adjusted_verdicts = zip([None, *corrected], ["first", *verdicts], strict=True)
    arms = [
        _compared(plan, number, table[number], differences[number], p, verdict)
        for number, (p, verdict) in enumerate(adjusted_verdicts)
    ]
    return Comparison(
        corpus=str(plan.comparison_arms[0].config.corpus_dir or "python"),
        budget_unit=plan.budget_unit,
        budget=plan.budget,
        unit="bits per byte" if in_bits else "nats per token",
        varied=list(dict.fromkeys(k for c in plan.comparison_arms for k in c.varied)),
        seeds=plan.seeds,
        arms=arms,
    )


def _budget_of(arm: ComparisonArm, budget_unit: BudgetUnit) -> float:
    """Return what the first arm needs for its own epochs."""
    from descend.trials.cost_estimate import measure_step_time
    from descend.trials.prepared_trial import prepare_trial

    spec = make_trial_spec(arm.config)
    ready = prepare_trial(spec)
    if budget_unit == "steps":
        return ready.steps
    if budget_unit == "tokens":
        return ready.steps * ready.batches.tokens_per_step
    speed = measure_step_time(spec)
    per_step = ready.batches.tokens_per_step * speed.per_token + speed.per_update
    return round(ready.steps * per_step, 1)


def make_arm_spec(
    arm: ComparisonArm,
    seed: int,
    *,
    budget_unit: BudgetUnit,
    budget: float | None,
    points: int,
    evaluation_tokens: int,
) -> TrialSpec:
    """Return the run of `arm` with `seed`, as long as `budget` (of `budget_unit`) lets it be;
    None: its own epochs. `ConfigError` for less than a step."""
    config = arm.config.model_copy(update={"seed": seed})
    if budget is None:
        return make_trial_spec(config, evaluation_tokens=evaluation_tokens)
    per_step = 1.0
    if budget_unit == "tokens":
        per_step = config.batch_size * config.seq_len
    if budget_unit == "seconds":
        from descend.trials.cost_estimate import measure_step_time

        speed = measure_step_time(make_trial_spec(arm.config))
        per_step = config.batch_size * config.seq_len * speed.per_token + speed.per_update
    steps = round(budget / per_step)
    if steps < 1:
        raise ConfigError(
            "budget", f"{budget:g} {budget_unit}, less than a step of {arm.name} needs",
            f"at least {per_step:g}", "give a larger budget",
        )  # fmt: skip
    every = -(-steps // points) if points > 1 else None
    return make_trial_spec(
        config, steps=steps, evaluate_every=every, evaluation_tokens=evaluation_tokens
    )


def _compared(
    plan: ComparisonPlan,
    number: int,
    results: list[TrialResult],
    differences: list[float],
    p: float | None,
    verdict: str,
) -> ArmResult:
    arm, first = plan.comparison_arms[number], results[0]
    shape = shape_from_run_config(arm.config, first.vocab_size)

    def mean(key: str) -> float:
        return float(np.mean([getattr(o, key) for o in results]))

    return ArmResult(
        name=arm.name,
        config=arm.config.model_dump(mode="json"),
        steps=first.steps,
        tokens=first.tokens,
        vocab_size=first.vocab_size,
        parameters=first.parameters,
        memory=first.peak_bytes or training_memory(arm.config, shape),
        validation_loss=mean("validation_loss"),
        accuracy=mean("accuracy"),
        bigram_accuracy=first.bigram_accuracy,
        bits_per_byte=mean("bits_per_byte"),
        seconds=mean("seconds"),
        difference=estimate_mean(differences) if number else None,
        p=p,
        verdict=verdict,
        seeds=[
            SeedResult(
                seed=seed,
                validation_loss=o.validation_loss,
                accuracy=o.accuracy,
                bits_per_byte=o.bits_per_byte,
                seconds=o.seconds,
                diverged_step=o.diverged_step,
                curve=o.curve,
            )
            for seed, o in zip(plan.seeds, results, strict=True)
        ],
    )


def nats_per_unit(first: Sequence[TrialResult], in_bits: bool) -> float:
    """Return nats per token of the first arm that one of the unit of a comparison is: of a bit per
    byte, ln 2 times the bytes of a token."""
    if not in_bits:
        return 1.0
    bits = float(np.mean([o.bits_per_byte for o in first]))
    return float(np.mean([o.validation_loss for o in first])) / max(bits, 1e-12)


def _verdict(difference: Interval, p: float, of: float) -> str:
    """Return `difference` and `of` in nats per token."""
    if p >= ALPHA:
        return "not significant"
    loss_reduction = Interval(-difference.value, -difference.high, -difference.low)
    if is_significant(loss_reduction, of):
        return "better"
    return "worse" if is_significant(difference, of) else "not significant"
