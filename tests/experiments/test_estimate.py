"""Differences of losses and the loss reductions that people read."""

from __future__ import annotations

import pytest

from descend.experiments.estimate import Estimate, estimate_mean, to_loss_reduction
from descend.report.text.experiment_tables import bar, format_bracketed, format_estimate


def test_loss_reduction_is_positive_where_the_loss_falls() -> None:
    difference = estimate_mean([-0.2, -0.3, -0.1])
    reduction = to_loss_reduction(difference)
    assert difference.ci95 is not None
    assert reduction.value == pytest.approx(0.2)
    assert reduction.ci95 == (-difference.ci95[1], -difference.ci95[0])
    assert to_loss_reduction(reduction) == difference


def test_loss_reduction_of_nothing_has_no_minus_sign() -> None:
    assert format_estimate(to_loss_reduction(Estimate(0.0, None))) == "+0.000"
    assert format_bracketed(to_loss_reduction(Estimate(0.0, (-0.1, 0.0)))) == (
        "+0.000 [+0.000, +0.100]"
    )


def test_bar_points_right_for_a_gain_and_left_for_a_harm() -> None:
    gain, harm = bar(0.4, 0.4), bar(-0.4, 0.4)
    assert gain.index("│") < gain.index("█")
    assert harm.index("█") < harm.index("│")
