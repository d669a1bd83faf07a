"""Fits the prior that `descend forecast` begins with to recorded runs.

    python benchmarks/forecast/fit.py CURVES PRIOR

An expectation-maximisation: each run is explained by the formula under the present prior, then the
prior becomes what its explanations have in common. How far intervals must be widened comes from
forecasts of each run by a prior learned without it (`cross`), which `score.py` scores.
"""

from __future__ import annotations

import datetime
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from curves import PartialRun, complete_run, continued_run, load, partial_run

from descend.forecast.curve_model import PARAMETERS
from descend.forecast.curve_prior import FEATURES, CurvePrior, fit_posterior
from descend.forecast.prediction_intervals import limit_continuation

ROUNDS = 8
RIDGE = 3.0
"""Runs' worth of trust in a parameter not depending on a feature."""

FOLDS = 7
SHARES = (0.25, 0.5, 0.75)
DRAWS = 300
TARGET = 0.8

VALIDATION_ERROR, TRAINING_ERROR = 0.03, 0.07
"""Nats by which real curves stray from the formula. Of seven pairs one whose forecasts within the
runs learned from are better from half of a run on and no worse from a quarter (`errors.py`)."""

WORTH_COUNTING = 0.02
"""Nats between two epochs from which they say something on how accuracy follows the loss."""


@dataclass(frozen=True)
class Forecast:
    """A forecast of the end of a case by a prior learned without it, not yet widened."""

    fold: int
    share: float
    case: PartialRun
    value: float
    below: float
    above: float
    prior: CurvePrior

    @property
    def miss(self) -> float:
        """How often the interval must be made as wide to reach the truth."""
        off = float(self.case.truth[-1]) - self.value
        return off / self.above if off > 0 else -off / self.below


def make_first_prior() -> CurvePrior:
    """Middling values with wide deviations, to begin from."""
    mean = np.zeros((len(PARAMETERS), len(FEATURES)))
    mean[:, 0] = [np.log(0.5), np.log(3e4), np.log(0.5), np.log(0.1), np.log(0.2), np.log(0.03), 0]
    deviations = np.array([0.4, 1.0, 0.5, 0.7, 1.0, 1.2, 0.1])
    return CurvePrior(
        mean=mean.tolist(), covariance=np.diag(deviations**2).tolist(),
        validation_error=VALIDATION_ERROR, training_error=TRAINING_ERROR, interval_scale=1.0,
        continued_errors=(-0.1, 0.1), accuracy_slope=0.1, accuracy_slope_rising=0.0, fitted_on="",
    )  # fmt: skip


def learn(records: list[dict[str, Any]]) -> CurvePrior:
    """The prior that explains whole runs best."""
    prior = make_first_prior()
    cases = [complete_run(r, TRAINING_ERROR) for r in records]
    X = np.stack([c.features.features() for c in cases])
    penalty = RIDGE * np.eye(len(FEATURES))
    penalty[0, 0] = 0
    for _ in range(ROUNDS):
        posteriors = [fit_posterior(c.observed, c.features, prior) for c in cases]
        Z = np.stack([p.z for p in posteriors])
        mean = np.linalg.solve(X.T @ X + penalty, X.T @ Z).T
        rest = Z - X @ mean.T
        spread = rest.T @ rest / len(cases) + np.mean([p.covariance for p in posteriors], axis=0)
        spread += 1e-4 * np.eye(len(PARAMETERS))
        prior = msgspec.structs.replace(prior, mean=mean.tolist(), covariance=spread.tolist())
    falling, rising = accuracy_slopes(records)
    return msgspec.structs.replace(prior, accuracy_slope=falling, accuracy_slope_rising=rising)


def accuracy_slopes(records: list[dict[str, Any]]) -> tuple[float, float]:
    """Median accuracy gained per nat between epochs, where the loss falls and where it rises."""
    falling, rising = [], []
    for run in (run for record in records for run in record["runs"]):
        for a, b in zip(run["epochs"], run["epochs"][1:], strict=False):
            fell = a["validation_loss"] - b["validation_loss"]
            if abs(fell) > WORTH_COUNTING:
                accuracy_change = b["validation_accuracy"] - a["validation_accuracy"]
                (falling if fell > 0 else rising).append(accuracy_change / fell)
    return float(np.median(falling)), float(np.median(rising)) if rising else 0.0


def forecast(case: PartialRun, prior: CurvePrior) -> tuple[float, float, float]:
    """Value and unwidened 80 % deviations below and above, for the end of `case`."""
    posterior = fit_posterior(case.observed, case.features, prior)
    draws = posterior.sample_validation_losses(case.ahead[-1:], DRAWS)[:, 0]
    noise = np.random.default_rng(1).standard_normal(DRAWS) * prior.validation_error
    low, high = np.quantile(draws + noise, [0.1, 0.9])
    return float(draws[0]), float(draws[0] - low), float(high - draws[0])


def cross(records: list[dict[str, Any]]) -> list[Forecast]:
    """Forecasts of each run by a prior learned without it."""
    rows = []
    for fold in range(FOLDS):
        prior = learn([r for i, r in enumerate(records) if i % FOLDS != fold])
        for record in records[fold::FOLDS]:
            rows += forecasts_of(record, prior, fold)
    return rows


def forecasts_of(record: dict[str, Any], prior: CurvePrior, fold: int) -> list[Forecast]:
    """What `prior` says of a run of which so much was seen, each of `SHARES` and all of it."""
    cases = [(s, partial_run(record, s, TRAINING_ERROR)) for s in SHARES]
    rows = [Forecast(fold, s, c, *forecast(c, prior), prior) for s, c in cases if c]
    if case := continued_run(record, TRAINING_ERROR):
        value, below, above = forecast(case, prior)
        (limited,) = limit_continuation(np.array([value]), case.observed.validation_losses)
        rows.append(Forecast(fold, 1.0, case, float(limited), below, above, prior))
    return rows


def widening(rows: list[Forecast]) -> float:
    """The factor on the intervals that covers `TARGET` of `rows`."""
    return float(np.quantile([row.miss for row in rows], TARGET))


def continued_errors(rows: list[Forecast]) -> tuple[float, float]:
    """How far continued runs came out from their forecast: ends of an interval of `TARGET`."""
    errors = [float(r.case.truth[-1]) / r.value - 1 for r in rows if r.share == 1]
    tail = (1 - TARGET) / 2
    low, high = np.quantile(errors, [tail, 1 - tail])
    return float(low), float(high)


def main() -> None:
    records = load(Path(sys.argv[1]))
    rows = cross(records)
    prior = msgspec.structs.replace(
        learn(records),
        interval_scale=widening([r for r in rows if r.share < 1]),
        continued_errors=continued_errors(rows),
        fitted_on=f"benchmarks/forecast/fit.py, {len(records)} runs, "
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
    )
    Path(sys.argv[2]).write_bytes(msgspec.json.format(msgspec.json.encode(prior)) + b"\n")


if __name__ == "__main__":
    main()
