"""In JSON a positive effect is better, whatever the records keep."""

from __future__ import annotations

import pytest

from descend.experiments.attribute.attribution_result import (
    Attribution,
    ChangeContribution,
    Interaction,
)
from descend.experiments.estimate import Estimate
from descend.experiments.json_output import attribution_fields

ZERO = Estimate(0.0, None)


def test_attribution_fields_are_loss_reductions() -> None:
    change = ChangeContribution(
        key="embed_dim", change="embed_dim: 64 to 128", value=-0.3, ci95=(-0.4, -0.2),
        accuracy=ZERO, seconds=ZERO, effect_first=-0.5, effect_last=None,
    )  # fmt: skip
    attribution = Attribution(
        a="old", b="guide", corpus="c", unit="nats per token", method="exact", seeds=[1, 2],
        orders=0, train_fraction=1.0, evaluation_tokens=100, base={},
        total_difference=Estimate(-0.3, (-0.4, -0.2)), total_accuracy=ZERO, total_seconds=ZERO,
        contributions=[change], interactions=[Interaction(("a", "b"), 0.1, 2, (0.05, 0.2))],
        runs=[],
    )  # fmt: skip
    fields = attribution_fields(attribution)
    assert fields["total_loss_reduction"] == {"value": 0.3, "ci95": (0.2, 0.4)}
    (part,) = fields["contributions"]
    assert part["loss_reduction"] == pytest.approx(0.3)
    assert part["ci95"] == (0.2, 0.4)
    assert part["loss_reduction_first"] == pytest.approx(0.5)
    assert part["loss_reduction_last"] is None
    (pair,) = fields["interactions"]
    assert pair["loss_reduction"] == pytest.approx(-0.1)
    assert pair["range"] == (-0.2, -0.05)
    left = {"total_difference", "value", "effect_first", "effect_last"}
    assert not left & {*fields, *part, *pair}
