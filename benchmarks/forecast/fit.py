"""Fits the belief that `descend forecast` begins with, to the fitting runs alone.

    python benchmarks/forecast/fit.py CURVES BELIEF

An expectation-maximisation: each fitting run is explained by the formula under the present belief,
then the belief becomes what its explanations have in common. The widening of the intervals and the
errors come from forecasts of each fitting run by a belief learned from the other fitting runs.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from curves import Case, case_of, further_case, is_fitting, load

from descend.lab.belief import FEATURES, Belief, believe
from descend.lab.formula import PARAMETERS

ROUNDS = 8
RIDGE = 3.0
"""Runs' worth of trust in a parameter not depending on a feature."""

FOLDS = 5
SHARES = (0.25, 0.4, 0.5, 0.6, 0.75, 0.9)
DRAWS = 300
TARGET = 0.8


def first_belief(validation_error: float, training_error: float) -> Belief:
    """Middling values with wide deviations, to begin from."""
    mean = np.zeros((len(PARAMETERS), len(FEATURES)))
    mean[:, 0] = [np.log(0.5), np.log(3e4), np.log(0.5), np.log(0.1), np.log(0.2), np.log(0.03), 0]
    deviations = np.array([0.4, 1.0, 0.5, 0.7, 1.0, 1.2, 0.1])
    return Belief(
        mean=mean.tolist(), covariance=np.diag(deviations**2).tolist(),
        validation_error=validation_error, training_error=training_error, widening=1.0,
        accuracy_slope=0.1, accuracy_slope_rising=0.0, learned_from="",
    )  # fmt: skip


def learn(records: list[dict[str, Any]], validation_error: float, training_error: float) -> Belief:
    """The belief that explains whole runs best."""
    belief = first_belief(validation_error, training_error)
    cases = [c for r in records if (c := case_of_whole(r, training_error))]
    X = np.stack([c.traits.features() for c in cases])
    penalty = RIDGE * np.eye(len(FEATURES))
    penalty[0, 0] = 0
    for _ in range(ROUNDS):
        found = [believe(c.seen, c.traits, belief) for c in cases]
        Z = np.stack([p.z for p in found])
        mean = np.linalg.solve(X.T @ X + penalty, X.T @ Z).T
        rest = Z - X @ mean.T
        spread = rest.T @ rest / len(cases) + np.mean([p.covariance for p in found], axis=0)
        spread += 1e-4 * np.eye(len(PARAMETERS))
        belief = msgspec.structs.replace(belief, mean=mean.tolist(), covariance=spread.tolist())
    return belief


def case_of_whole(record: dict[str, Any], training_error: float) -> Case | None:
    """A run of which all but a last sliver of training loss is seen, with all its epochs."""
    import curves

    run, way = record["runs"][0], curves.way_for(record, 0)
    spans = curves.spans_of(run)
    return Case(
        number=record["number"], corpus=record["corpus"], traits=curves.traits_of(record),
        seen=curves._see(record, way, spans, run["epochs"], training_error),
        ahead=way.after(np.array([float(run["steps"])])), truth=np.array([0.0]),
        accuracy=np.array([0.0]), seen_accuracy=None, spans=spans,
        held_steps=np.array([]), steps=run["steps"], epochs=len(run["epochs"]),
    )  # fmt: skip


def forecasts(cases: list[Case], belief: Belief) -> list[tuple[Case, float, float, float]]:
    """Value and unwidened 80 % deviations below and above, for the end of each case."""
    rows = []
    for case in cases:
        posterior = believe(case.seen, case.traits, belief)
        draws = posterior.held_out(case.ahead[-1:], DRAWS)[:, 0]
        noise = np.random.default_rng(1).standard_normal(DRAWS) * belief.validation_error
        low, high = np.quantile(draws + noise, [0.1, 0.9])
        rows.append((case, float(draws[0]), float(draws[0] - low), float(high - draws[0])))
    return rows


def cross(records: list[dict[str, Any]], validation_error: float, training_error: float) -> Any:
    """Forecasts of each fitting run by a belief learned without it."""
    rows = []
    for fold in range(FOLDS):
        rest = [r for i, r in enumerate(records) if i % FOLDS != fold]
        belief = learn(rest, validation_error, training_error)
        for record in records[fold::FOLDS]:
            cases = [case_of(record, s, training_error) for s in SHARES]
            cases.append(further_case(record, training_error))
            rows += [(s, *row) for s, c in zip((*SHARES, 1.0), cases, strict=True) if c
                     for row in forecasts([c], belief)]  # fmt: skip
    return rows


def summary(rows: Any, share: float | None = None) -> tuple[float, float, float, int]:
    """Median and mean absolute relative error, unwidened coverage, and cases."""
    chosen = [r for r in rows if share is None or r[0] == share]
    errors = np.array([abs(v / c.truth[-1] - 1) for _, c, v, *_ in chosen])
    inside = [-lo <= c.truth[-1] - v <= hi for _, c, v, lo, hi in chosen]
    return float(np.median(errors)), float(errors.mean()), float(np.mean(inside)), len(chosen)


def widening(rows: Any) -> float:
    """The factor on the intervals that covers `TARGET` of the rows."""
    ratios = []
    for _, case, value, low, high in rows:
        miss = case.truth[-1] - value
        ratios.append(miss / high if miss > 0 else -miss / low)
    return float(np.quantile(ratios, TARGET))


def main() -> None:
    records = [r for r in load(Path(sys.argv[1])) if is_fitting(r)]
    best = None
    for validation_error in (0.01, 0.02, 0.04):
        for training_error in (0.02, 0.04, 0.08):
            rows = cross(records, validation_error, training_error)
            half = summary(rows, 0.5)
            score = half[0] + half[1]
            print(validation_error, training_error, "half:", half, "all:", summary(rows))
            print(
  "further:", summary(rows, 1.0), f"widening {widening(rows):.2f}", flush=True)  # fmt: skip
            if best is None or score < best[0]:
                best = (score, validation_error, training_error, rows)
    assert best is not None
    _, validation_error, training_error, rows = best
    belief = msgspec.structs.replace(
        learn(records, validation_error, training_error),
        widening=widening(rows),
        learned_from=f"benchmarks/forecast/fit.py, {len(records)} runs, "
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
    )
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_bytes(msgspec.json.format(msgspec.json.encode(belief)) + b"\n")


if __name__ == "__main__":
    main()
