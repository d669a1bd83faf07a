"""What `--json` prints of experiments: every effect is a loss reduction, so positive is better.

The records on disk keep the raw differences, the changed run minus the other.
"""

from __future__ import annotations

from typing import Any

import msgspec

from descend.experiments.attribute.attribution_result import Attribution
from descend.experiments.compare.comparison_result import Comparison
from descend.experiments.estimate import Estimate, to_loss_reduction
from descend.experiments.search.search_result import SearchResult


def comparison_fields(comparison: Comparison) -> dict[str, Any]:
    """Return `comparison` with a `loss_reduction` in each arm."""
    fields: dict[str, Any] = msgspec.to_builtins(comparison)
    for arm, arm_fields in zip(comparison.arms, fields["arms"], strict=True):
        arm_fields.pop("difference")
        reduction = None if arm.difference is None else to_loss_reduction(arm.difference)
        arm_fields["loss_reduction"] = msgspec.to_builtins(reduction)
    return fields


def search_fields(result: SearchResult) -> dict[str, Any]:
    """Return `result` with its confirmation as `comparison_fields`."""
    fields: dict[str, Any] = msgspec.to_builtins(result)
    if result.confirmation is not None:
        fields["confirmation"] = comparison_fields(result.confirmation)
    return fields


def attribution_fields(attribution: Attribution) -> dict[str, Any]:
    """Return `attribution` with loss reductions in place of differences."""
    fields: dict[str, Any] = msgspec.to_builtins(attribution)
    fields.pop("total_difference")
    fields["total_loss_reduction"] = msgspec.to_builtins(
        to_loss_reduction(attribution.total_difference)
    )
    for part, part_fields in zip(attribution.contributions, fields["contributions"], strict=True):
        for key in ("value", "ci95", "effect_first", "effect_last"):
            part_fields.pop(key)
        reduction = to_loss_reduction(Estimate(part.value, part.ci95))
        part_fields |= {
            "loss_reduction": reduction.value,
            "ci95": reduction.ci95,
            "loss_reduction_first": _negate(part.effect_first),
            "loss_reduction_last": _negate(part.effect_last),
        }
    for pair, pair_fields in zip(attribution.interactions, fields["interactions"], strict=True):
        reduction = to_loss_reduction(Estimate(pair_fields.pop("value"), pair.range))
        pair_fields |= {"loss_reduction": reduction.value, "range": reduction.ci95}
    return fields


def _negate(difference: float | None) -> float | None:
    return None if difference is None else 0.0 - difference
