"""The plans of an improvement: for its first training, and for the time that it left."""

from __future__ import annotations

import msgspec

from descend.errors import UserError
from descend.experiments.improvement import TrainedModel
from descend.planner.axes import axes_for
from descend.planner.make_plan import CorpusPlan
from descend.planner.plan import MIN_MINUTES, TrainingPlan, choose_config
from descend.planner.scaling_law import load_scaling_law

FIRST_FRACTION = 0.4
"""Of the time, for the planned run where a search follows. As much is left for the last training,
the rest for the trials."""

WORTH_SEARCHING = 0.005
"""Fraction of the bits per byte that a shorter training may lose, by the plan, for a search to be
made: two seeds differ by as much. Else all the time goes into one training, as in `train`."""

OTHER_MARGIN = 0.03
"""Fraction of the bits per byte that another plan may be expected to end above the best: the law
strays as much from one run to the next (benchmarks/results/improve/law_errors.jsonl)."""


def plan_first_part(planned: CorpusPlan) -> CorpusPlan:
    """Return the plan for the first training: a shorter one than planned, where that loses less
    than a search can gain and the plan leaves no time."""
    plan, axes = planned.plan, axes_for(planned.fixed)
    assert planned.minutes is not None
    if plan.leaves_time:
        return planned
    spent = planned.minutes - plan.minutes
    minutes = FIRST_FRACTION * planned.minutes
    if minutes - spent < MIN_MINUTES:
        return planned
    shorter = choose_config(
        plan.sample, plan.rates, load_scaling_law(), minutes - spent, None, axes
    )
    lost = shorter.predicted.bits_per_byte / plan.predicted.bits_per_byte - 1
    if lost > WORTH_SEARCHING:
        return planned
    return msgspec.structs.replace(planned, plan=shorter, minutes=minutes)


def find_another_plan(final: CorpusPlan, base: TrainedModel) -> CorpusPlan | None:
    """Return the best plan for a vocabulary or a size that `base` has not, if it is expected to
    come within `OTHER_MARGIN` of the best: what the law cannot tell apart is worth a try."""
    size = ("vocab_size", "embed_dim", "num_layers")

    def differs(plan: TrainingPlan) -> bool:
        return any(plan.config[k] != base.settings.get(k) for k in size)

    if differs(final.plan):
        return final
    plan, fixed = final.plan, final.fixed
    best = plan.predicted.bits_per_byte
    others: list[TrainingPlan] = []
    for vocab in plan.sample.bytes_per_token:
        if vocab == base.settings.get("vocab_size") or "vocab_size" in fixed:
            continue
        try:
            axes = axes_for(fixed | {"vocab_size": vocab})
            others.append(choose_config(
                plan.sample, plan.rates, load_scaling_law(), plan.minutes, None, axes
            ))  # fmt: skip
        except UserError:
            continue
    within = [o for o in others if o.predicted.bits_per_byte <= (1 + OTHER_MARGIN) * best]
    if not within:
        return None
    other = min(within, key=lambda o: o.predicted.bits_per_byte)
    return msgspec.structs.replace(final, plan=other)
