"""A power law is found again from its own points, and continued."""

from __future__ import annotations

import pytest

from descend.signals.curve import PowerLaw, fit, through

LAW = PowerLaw(floor=3.0, scale=20.0, offset=0.0, exponent=0.5)
TIMES = [100.0, 200.0, 400.0, 800.0, 1600.0]


def test_the_law_behind_exact_points_is_found() -> None:
    found = fit(TIMES, [LAW.at(t) for t in TIMES])
    assert found.at(6400) == pytest.approx(LAW.at(6400), abs=0.02)
    assert found.floor == pytest.approx(3.0, abs=0.1)


def test_a_curve_goes_through_its_points_and_on_by_the_law() -> None:
    on_it = through({t: LAW.at(t) for t in TIMES})
    assert on_it.at(300) == pytest.approx(LAW.at(300), abs=0.01)
    assert on_it.at(6400) == pytest.approx(LAW.at(6400), abs=0.02)
    # A jump between two lengths is kept, and not made a slope that goes on.
    jumped = through({100.0: 2.0, 200.0: 1.9, 400.0: 1.0, 800.0: 1.0})
    assert [jumped.at(t) for t in (100, 200, 400, 800)] == pytest.approx([2.0, 1.9, 1.0, 1.0])


def test_two_points_are_no_curve() -> None:
    with pytest.raises(ValueError, match="2 points"):
        fit([1.0, 2.0], [3.0, 2.0])
