"""A power law is found again from its own points, and continued."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descend.metrics.power_law import (
    MIN_BINS,
    MIN_VALUES_PER_BIN,
    CurveExtrapolation,
    Floats,
    PowerLaw,
    bootstrap_power_law,
    extrapolate_curve,
    fit_power_law,
    interpolate_curve,
)

LAW = PowerLaw(asymptote=3.0, scale=20.0, offset=0.0, exponent=0.5)
TIMES = [100.0, 200.0, 400.0, 800.0, 1600.0]


def test_fit_power_law_recovers_exact_parameters() -> None:
    fitted_law = fit_power_law(TIMES, [LAW.predict(t) for t in TIMES])
    assert fitted_law.predict(6400) == pytest.approx(LAW.predict(6400), abs=0.02)
    assert fitted_law.asymptote == pytest.approx(3.0, abs=0.1)


def test_interpolated_curve_extrapolates_by_power_law() -> None:
    on_it = interpolate_curve({t: LAW.predict(t) for t in TIMES})
    assert on_it.at(300) == pytest.approx(LAW.predict(300), abs=0.01)
    assert on_it.at(6400) == pytest.approx(LAW.predict(6400), abs=0.02)
    # A jump between two lengths is kept, and not made a slope that goes on.
    jumped = interpolate_curve({100.0: 2.0, 200.0: 1.9, 400.0: 1.0, 800.0: 1.0})
    assert [jumped.at(t) for t in (100, 200, 400, 800)] == pytest.approx([2.0, 1.9, 1.0, 1.0])


def test_two_points_are_no_curve() -> None:
    with pytest.raises(ValueError, match="2 points"):
        fit_power_law([1.0, 2.0], [3.0, 2.0])


STEPS = np.arange(1.0, 401.0)


def noisy(seed: int, alike: float = 0.0, law: PowerLaw = LAW) -> Floats:
    """Losses of `STEPS` by `law` with a spread of 0.1, each error `alike` the one before it."""
    errors = np.random.default_rng(seed).standard_normal(len(STEPS)) * 0.1
    for n in range(1, len(errors)):
        errors[n] += alike * errors[n - 1]
    return np.array([law.predict(t) for t in STEPS]) + errors


def headed(times: Floats, losses: Floats, seed: int = 0) -> CurveExtrapolation:
    extrapolation = extrapolate_curve(times, losses, seed)
    assert extrapolation is not None
    return extrapolation


@pytest.mark.parametrize("alike", [0.0, 0.7])
def test_extrapolation_intervals_have_nominal_coverage(alike: float) -> None:
    extrapolations = [headed(STEPS, noisy(seed, alike)) for seed in range(40)]
    truth = LAW.predict(800)
    assert extrapolations[0].step == 800
    # 95 % of 40 are 38; fewer than 33 would be a chance of one in a hundred.
    assert sum(h.ci95[0] <= truth <= h.ci95[1] for h in extrapolations) >= 33
    assert sum(h.floor_ci95[0] <= LAW.asymptote <= h.floor_ci95[1] for h in extrapolations) >= 33
    # Not by being endless: the law itself falls by 0.3 from the last step to there.
    assert np.median([h.ci95[1] - h.ci95[0] for h in extrapolations]) < 0.5


def test_autocorrelated_errors_widen_the_interval() -> None:
    times = np.linspace(100.0, 1600.0, 40)
    swings = 0.05 * np.sign(np.sin(np.arange(40) * np.pi / 4))  # four points up, four down
    jumps = 0.05 * np.where(np.arange(40) % 2, 1.0, -1.0)
    assert swings.std() == pytest.approx(jumps.std(), rel=0.05)
    widths = []
    for off in (swings, jumps):
        losses = np.array([LAW.predict(t) for t in times]) + off
        floors = bootstrap_power_law(times, losses, fit_power_law(times.tolist(), losses.tolist()))[
            0
        ]
        widths.append(float(np.quantile(floors, 0.975) - np.quantile(floors, 0.025)))
    assert widths[0] > 1.5 * widths[1]


@settings(max_examples=6, deadline=None)
@given(
    st.floats(0.5, 6.0), st.floats(0.2, 1.0), st.floats(0.5, 4.0), st.integers(0, 2**32 - 1)
)  # fmt: skip
def test_extrapolation_is_ordered_and_deterministic(
    floor: float, exponent: float, fall: float, seed: int
) -> None:
    law = PowerLaw(floor, fall * 40**exponent, 0.0, exponent)
    losses = noisy(seed % 1000, law=law)
    extrapolation = headed(STEPS, losses, seed)
    assert extrapolation == headed(STEPS, losses, seed)
    assert 0 <= extrapolation.floor_ci95[0] <= extrapolation.floor_ci95[1]
    assert extrapolation.ci95[0] < extrapolation.ci95[1]
    assert extrapolation.floor_ci95[1] <= extrapolation.ci95[1] + 1e-9  # a law only falls
    # In other units nothing changes but the units.
    double = headed(STEPS, 2 * losses, seed)
    assert double.ci95 == pytest.approx([2 * x for x in extrapolation.ci95], rel=1e-6)
    later = headed(10 * STEPS, losses, seed)
    assert later.step == 10 * extrapolation.step
    assert later.ci95 == pytest.approx(extrapolation.ci95, rel=1e-6)


def test_other_draws_differ_a_little() -> None:
    losses = noisy(0)
    one, other = headed(STEPS, losses, 1), headed(STEPS, losses, 2)
    assert one.loss == other.loss
    assert one.ci95 != other.ci95
    assert one.ci95 == pytest.approx(other.ci95, abs=0.2 * (one.ci95[1] - one.ci95[0]))


def test_a_floor_is_no_less_than_nothing() -> None:
    falling = 1.0 - 0.15 * np.log(STEPS)  # no power law: it has no end
    extrapolation = headed(STEPS, falling)
    assert fit_power_law(STEPS.tolist(), falling.tolist()).asymptote < 0
    assert extrapolation.asymptote == extrapolation.floor_ci95[0] == 0.0


def test_extrapolate_curve_gives_none_when_the_curve_is_short() -> None:
    min_points = round(MIN_BINS * MIN_VALUES_PER_BIN / 0.8)  # a fifth is left out
    assert extrapolate_curve(STEPS[:min_points], noisy(0)[:min_points]) is not None
    assert extrapolate_curve(STEPS[: min_points - 2], noisy(0)[: min_points - 2]) is None
    assert extrapolate_curve(STEPS[:0], STEPS[:0]) is None


def test_bootstrap_returns_a_thousand_power_laws() -> None:
    times = np.linspace(100.0, 1600.0, 50)
    losses = np.array([LAW.predict(t) for t in times]) + np.random.default_rng(0).normal(
        0, 0.02, 50
    )
    law = fit_power_law(times.tolist(), losses.tolist())
    assert bootstrap_power_law(times, losses, law).shape == (4, 1000)
