"""Scores `descend forecast` on recorded runs; nothing is trained.

    python benchmarks/forecast/score.py CURVES OUT [FRESH]

Each run of CURVES is forecast by a prior learned without it, its intervals widened as the runs of
the other folds demanded. With FRESH, a second file of curves, its runs are forecast instead, by the
prior learned from all of CURVES and widened as its folds demanded: they had no part in anything.
Writes OUT/scores.json (a line a forecast) and OUT/summary.md: coverage of the 80 %
interval and the error of the forecast beside that of two simpler ones, by share seen and by corpus,
with 95 % intervals over runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from curves import PartialRun, load
from fit import FOLDS, Forecast, continued_errors, cross, forecasts_of, learn, widening

from descend.forecast.forecast_run import expected_accuracy
from descend.forecast.least_squares import minimize_squared_residuals

RESAMPLES = 2000
FLAT = 0.1
"""Weight of the pull of a power law's logarithms towards where they begin: keeps a fit to three
points from running away."""


def last_value(case: PartialRun) -> float:
    """The newest validation loss, or before there is one the newest training loss."""
    if len(case.observed.validation_losses):
        return float(case.observed.validation_losses[-1])
    return float(case.spans.losses[-max(1, len(case.spans.losses) // 20) :].mean())


def power_law(case: PartialRun, end: float) -> float:
    """E + A t^-a through the validation losses if there are three, else through the training losses
    after the first tenth."""
    if len(case.validation_steps) >= 3:
        steps, losses = case.validation_steps, case.observed.validation_losses
    else:
        late = case.spans.ends > case.spans.ends[-1] / 10
        steps, losses = case.spans.ends[late], case.spans.losses[late]
    steps = np.asarray(steps) / steps[-1]
    start = np.log([0.5 * losses[-1], 0.5 * losses[-1], 0.3])

    def misses(z: Any) -> Any:
        floor, height, bend = (np.exp(z[..., i, None]) for i in range(3))
        curve = floor + height * steps**-bend - losses
        return np.concatenate([curve, FLAT / len(steps) * (z - start)], axis=-1)

    z, _ = minimize_squared_residuals(misses, start)
    return float(np.exp(z[0]) + np.exp(z[1]) * (end / _last_step(case)) ** -np.exp(z[2]))


def _last_step(case: PartialRun) -> float:
    return float(
        case.validation_steps[-1] if len(case.validation_steps) >= 3 else case.spans.ends[-1]
    )


@dataclass(frozen=True)
class Widths:
    """How wide intervals must be."""

    factor: float
    """Of runs under way, on what their draws say."""
    continued: tuple[float, float]
    """Of continued runs, as fractions of the forecast."""


def score(prediction: Forecast, widths: Widths, steps_ahead: float) -> dict[str, Any]:
    """A forecast beside the truth and the simpler ones."""
    case = prediction.case
    below, above = (widths.factor * prediction.below, widths.factor * prediction.above)
    if prediction.share == 1:
        below, above = (abs(error) * prediction.value for error in widths.continued)
    end = case.spans.ends[-1] + steps_ahead
    row: dict[str, Any] = {
        "run": case.number, "corpus": case.corpus, "seen": prediction.share, "epochs": case.epochs,
        "truth": round(float(case.truth[-1]), 4), "forecast": round(prediction.value, 4),
        "low": round(prediction.value - below, 4), "high": round(prediction.value + above, 4),
        "last_value": round(last_value(case), 4), "power_law": round(power_law(case, end), 4),
    }  # fmt: skip
    if case.observed_accuracy is not None:
        at = (
            case.observed.validation_losses[-1]
            if prediction.share < 1
            else case.observed.validation_losses.min()
        )
        expected = expected_accuracy(
            np.array([prediction.value]), float(at), case.observed_accuracy, prediction.prior
        )
        row["accuracy_error"] = round(float(expected[0] - case.accuracy[-1]), 4)
    return row


def rows_of(records: list[dict[str, Any]], fresh: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All scored forecasts: of `fresh`, or where there are none of `records` by each other."""
    forecasts = cross(records)
    if fresh:
        prior, widths = learn(records), _widths(forecasts)
        scored_forecasts = [(f, widths) for r in fresh for f in forecasts_of(r, prior, fold=-1)]
    else:
        by_fold = [_widths([f for f in forecasts if f.fold != fold]) for fold in range(FOLDS)]
        scored_forecasts = [(f, by_fold[f.fold]) for f in forecasts]
    further = {r["number"]: r["runs"][1]["steps"] for r in fresh or records if len(r["runs"]) > 1}
    rows = []
    for prediction, widths in scored_forecasts:
        whole = prediction.share == 1
        left = prediction.case.steps - prediction.case.spans.ends[-1]
        ahead = further[prediction.case.number] if whole else left
        rows.append(score(prediction, widths, ahead))
    return sorted(rows, key=lambda r: (r["run"], r["seen"]))


def _widths(forecasts: list[Forecast]) -> Widths:
    return Widths(widening([f for f in forecasts if f.share < 1]), continued_errors(forecasts))


def bootstrap(values: Any, statistic: Callable[[Any], float]) -> tuple[float, float]:
    """95 % interval of `statistic` over runs drawn again and again."""
    rng = np.random.default_rng(0)
    values = np.asarray(values)
    drawn = [statistic(rng.choice(values, len(values))) for _ in range(RESAMPLES)]
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def line(name: str, rows: list[dict[str, Any]]) -> str:
    """A row of the summary."""
    truth = np.array([r["truth"] for r in rows])
    inside = np.array([r["low"] <= r["truth"] <= r["high"] for r in rows], dtype=float)
    low, high = bootstrap(inside, lambda v: float(v.mean()))
    cells = [name, str(len(rows)), f"{inside.mean():.0%} ({low:.0%} to {high:.0%})"]
    width = np.median([(r["high"] - r["low"]) / r["truth"] for r in rows])
    cells.append(f"{width:.1%}")
    for method in ("forecast", "last_value", "power_law"):
        errors = np.abs(np.array([r[method] for r in rows]) / truth - 1)
        a, b = bootstrap(errors, lambda v: float(np.median(v)))
        cells.append(f"{np.median(errors):.2%} ({a:.2%} to {b:.2%})")
    return "| " + " | ".join(cells) + " |"


HEAD = (
    "| | forecasts | inside the 80 % interval | median width | median error | last value "
    "| power law |\n"
    "|---|---|---|---|---|---|---|"
)


def summary(rows: list[dict[str, Any]]) -> str:
    """The tables of the page."""
    parts = ["By what was seen:\n", HEAD]
    names = {0.25: "a quarter of the run", 0.5: "half of the run", 0.75: "three quarters",
             1.0: "all of it; the run continued"}  # fmt: skip
    parts += [line(names[s], [r for r in rows if r["seen"] == s]) for s in names]
    half = [r for r in rows if r["seen"] == 0.5]
    parts += ["\nHalf of the run seen, by corpus:\n", HEAD]
    parts += [line(c, [r for r in half if r["corpus"] == c])
              for c in sorted({r["corpus"] for r in half})]  # fmt: skip
    accuracy = [abs(r["accuracy_error"]) for r in half if "accuracy_error" in r]
    parts.append(
        f"\nAccuracy, half of the run seen ({len(accuracy)} runs with an epoch behind them): "
        f"median error {np.median(accuracy):.2%} (points)."
    )
    return "\n".join(parts) + "\n"


def main() -> None:
    records = load(Path(sys.argv[1]))
    out = Path(sys.argv[2])
    fresh = load(Path(sys.argv[3])) if len(sys.argv) > 3 else []
    rows = rows_of(records, fresh)
    out.mkdir(parents=True, exist_ok=True)
    (out / "scores.json").write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")
    text = summary(rows)
    (out / "summary.md").write_text(text)
    print(len(fresh or records), "runs")
    print(text)


if __name__ == "__main__":
    main()
