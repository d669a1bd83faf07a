"""Learning curves read and carried on: known parameters come back, intervals cover."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descend.config import make_config
from descend.forecast.curve_model import PARAMETERS, Floats, training_loss, validation_loss
from descend.forecast.curve_prior import (
    CurvePrior,
    ObservedCurve,
    RunFeatures,
    fit_posterior,
    load_curve_prior,
)
from descend.forecast.forecast_run import expected_accuracy
from descend.forecast.least_squares import minimize_squared_residuals
from descend.forecast.prediction_intervals import (
    continued_interval,
    limit_continuation,
    prediction_interval,
)
from descend.forecast.trajectory import GROUPS, LossSpans, Trajectory, make_trajectory, observe

RUN_FEATURES = RunFeatures(
    peak_learning_rate=0.001, tokens_per_step=1024, parameters=300_000, train_tokens=100_000,
    vocab_size=1024, adamw=False, dropout=0.0,
)  # fmt: skip
START, SCALE = float(np.log(1024)), 5.5
STEPS = 400


def trajectory(schedule: str = "wsd", steps: int = STEPS) -> Trajectory:
    """Four passes over the text."""
    config = make_config({"schedule": schedule, "seq_len": 64, "batch_size": 16, "max_seq_len": 64})
    return make_trajectory(config, 20, steps, 1024 * steps // 4)


def flat(prior: CurvePrior, deviation: float) -> CurvePrior:
    """The same prior, so wide that it says nothing."""
    wide = np.eye(len(PARAMETERS)) * deviation**2
    return msgspec.structs.replace(prior, covariance=wide.tolist(), validation_error=0.003,
                                   training_error=0.003)  # fmt: skip


def observe_curve(
    z: Floats, path: Trajectory, until: int, noise: float = 0.0, seed: int = 0
) -> ObservedCurve:
    """What a run that follows the formula exactly has shown by step `until`."""
    rng = np.random.default_rng(seed)
    ends = np.arange(1.0, until + 1)
    train = training_loss(z, path.points_at(ends - 0.5), START, SCALE)
    epochs = np.arange(STEPS // 4, until + 1, STEPS // 4, dtype=np.float64)
    validation_losses = validation_loss(z, path.points_at(epochs), START, SCALE)
    return observe(
        path, LossSpans(ends, train + noise * rng.standard_normal(until)), epochs,
        validation_losses + noise / 10 * rng.standard_normal(len(epochs)),
        start=START, scale=SCALE, training_error=0.003,
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    floor=st.floats(0.3, 0.7), pace=st.floats(8e3, 4e4), bend=st.floats(0.3, 0.9),
    noise=st.floats(0.05, 0.3),
)  # fmt: skip
def test_curve_fit_recovers_parameters_of_complete_run(
    floor: float, pace: float, bend: float, noise: float
) -> None:
    mean = np.array(load_curve_prior().mean) @ RUN_FEATURES.features()
    z = np.concatenate([np.log([floor, pace, bend, noise]), mean[4:]])
    estimate = fit_posterior(
        observe_curve(z, trajectory(), STEPS), RUN_FEATURES, flat(load_curve_prior(), 2.0)
    )
    whole = trajectory().points_at(np.arange(20.0, STEPS + 1))
    np.testing.assert_allclose(
        validation_loss(estimate.z, whole, START, SCALE),
        validation_loss(z, whole, START, SCALE),
        atol=0.03,
    )
    # What the decay gives free is seen, so it is reported from the power law.
    assert np.exp(estimate.z[3]) == pytest.approx(noise, abs=0.08)


def test_prior_intervals_cover_sampled_curves() -> None:
    prior = load_curve_prior()
    mean = np.array(prior.mean) @ RUN_FEATURES.features()
    root = np.linalg.cholesky(np.array(prior.covariance))
    rng = np.random.default_rng(3)
    inside, path, runs = 0, trajectory(), 60
    for number in range(runs):
        z = mean + root @ rng.standard_normal(len(mean))
        observed_curve = observe_curve(z, path, STEPS // 2, noise=0.05, seed=number)
        end = path.points_at(np.array([float(STEPS)]))
        draws = fit_posterior(observed_curve, RUN_FEATURES, prior).sample_validation_losses(
            end, 300
        )
        _, low, high = prediction_interval(draws, prior.validation_error, 1.0)
        truth = validation_loss(z, end, START, SCALE)[0]
        inside += int(low[0] <= truth <= high[0])
    # 80 % are meant; the simulated curves have less noise than the prior allows for, so more.
    assert 0.75 <= inside / runs <= 1.0


def test_forecast_interval_narrows_with_more_steps() -> None:
    prior, path = load_curve_prior(), trajectory()
    z = np.array(prior.mean) @ RUN_FEATURES.features()
    end = path.points_at(np.array([float(STEPS)]))
    widths = []
    for until in (20, STEPS // 2, STEPS - 1):
        draws = fit_posterior(
            observe_curve(z, path, until), RUN_FEATURES, prior
        ).sample_validation_losses(end, 300)
        _, low, high = prediction_interval(draws, prior.validation_error, prior.interval_scale)
        widths.append(float(high[0] - low[0]))
    assert widths[0] > 1.5 * widths[1] > 1.5 * widths[2]


def test_trajectory_weights_tokens_by_learning_rate() -> None:
    constant = trajectory("constant").points_at(np.array([0.0, 100.0, float(STEPS)]))
    falling = trajectory("linear").points_at(np.array([0.0, 100.0, float(STEPS)]))
    assert constant.trained[0] == falling.trained[0] == 0
    assert constant.trained[-1] > 1.9 * falling.trained[-1] > 0
    assert constant.epochs[-1] == falling.epochs[-1] == pytest.approx(4)
    assert falling.rate[-1] < 0.01 < 0.99 < constant.rate[-1]


def test_training_losses_are_grouped_and_their_noise_estimated() -> None:
    ends = np.arange(1.0, STEPS + 1)
    noisy = 3 + np.random.default_rng(0).standard_normal(STEPS)
    observed_curve = observe(trajectory(), LossSpans(ends, noisy), np.array([]), np.array([]),
               start=START, scale=SCALE, training_error=0.0)  # fmt: skip
    assert len(observed_curve.train_losses) == GROUPS
    per_group = STEPS / GROUPS
    assert np.median(observed_curve.train_errors) == pytest.approx(per_group**-0.5, rel=0.25)


def test_minimize_squared_residuals_reaches_the_minimum_when_the_valley_is_curved() -> None:
    # Rosenbrock's function as a sum of squares: least at (1, 1).
    z, curvature = minimize_squared_residuals(
        lambda z: np.stack([10 * (z[..., 1] - z[..., 0] ** 2), 1 - z[..., 0]], axis=-1),
        np.array([-1.2, 1.0]),
    )
    np.testing.assert_allclose(z, [1, 1], atol=1e-3)
    np.testing.assert_allclose(curvature, [[401, -200], [-200, 100]], rtol=0.01)


def test_expected_accuracy_reacts_more_to_falling_loss() -> None:
    prior = load_curve_prior()
    better, worse = expected_accuracy(np.array([3.0, 5.0]), 4.0, 0.3, prior)
    assert better - 0.3 > abs(worse - 0.3)
    assert 0 <= worse <= 0.3 < better <= 1


def test_continuation_of_a_run_that_did_not_rise_ends_no_higher_than_before() -> None:
    values = np.array([3.6, 3.5])
    assert limit_continuation(values, [4.0, 3.4, 3.41]).tolist() == [3.6, 3.4]
    assert limit_continuation(values - 1, [4.0, 3.4]).tolist() == [2.6, 2.5]
    # A loss that rose past its best epoch speaks against any gain.
    assert limit_continuation(values - 1, [4.0, 3.4, 3.6]).tolist() == [3.4, 3.4]


def test_continued_interval_is_what_recorded_continuations_ended_at() -> None:
    prior = load_curve_prior()
    below, above = prior.continued_errors
    assert below < 0 < above
    low, high = continued_interval(np.array([2.0]), prior)
    assert (low[0], high[0]) == (pytest.approx(2 + 2 * below), pytest.approx(2 + 2 * above))
    wide = continued_interval(np.array([2.0]), prior, length_ratio=3.0)
    assert wide[0][0] == pytest.approx(2 + 6 * below)
    assert continued_interval(np.array([2.0]), prior, length_ratio=0.5) == (low, high)
