"""Scores `descend forecast` on the recorded runs that nothing was fitted to; nothing is trained.

    python benchmarks/forecast/score.py CURVES OUT

Writes OUT/scores.json (a line a forecast) and OUT/summary.md: coverage of the 80 % interval and the
error of the forecast beside that of two simpler ones, by share seen and by corpus, with 95 %
intervals over runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from curves import Case, case_of, further_case, is_fitting, load

from descend.lab.belief import believe, learned_belief
from descend.lab.forecast import DRAWS, expected_accuracy, interval
from descend.lab.squares import least_squares

SHARES = (0.25, 0.5, 0.75)
RESAMPLES = 2000
FLAT = 0.1
"""Weight of the pull of a power law's logarithms towards where they begin: keeps a fit to three
points from running away."""


def last_value(case: Case) -> float:
    """The newest held-out loss, or before there is one the newest training loss."""
    if len(case.seen.held_losses):
        return float(case.seen.held_losses[-1])
    return float(case.spans.losses[-max(1, len(case.spans.losses) // 20) :].mean())


def power_law(case: Case, end: float) -> float:
    """E + A t^-a through the held-out losses if there are three, else through the training losses
    after the first tenth."""
    if len(case.held_steps) >= 3:
        steps, losses = case.held_steps, case.seen.held_losses
    else:
        late = case.spans.ends > case.spans.ends[-1] / 10
        steps, losses = case.spans.ends[late], case.spans.losses[late]
    steps = np.asarray(steps) / steps[-1]
    start = np.log([0.5 * losses[-1], 0.5 * losses[-1], 0.3])

    def misses(z: Any) -> Any:
        return np.concatenate([
            np.exp(z[0]) + np.exp(z[1]) * steps ** -np.exp(z[2]) - losses,
            FLAT / len(steps) * (z - start),
        ])  # fmt: skip

    z, _ = least_squares(misses, start)
    return float(np.exp(z[0]) + np.exp(z[1]) * (end / _last_step(case)) ** -np.exp(z[2]))


def _last_step(case: Case) -> float:
    return float(case.held_steps[-1] if len(case.held_steps) >= 3 else case.spans.ends[-1])


def score(case: Case, share: float, steps_ahead: float) -> dict[str, Any]:
    """Forecast the end of `case`, and see."""
    belief = learned_belief()
    posterior = believe(case.seen, case.traits, belief)
    value, low, high = interval(posterior.held_out(case.ahead[-1:], DRAWS), belief)
    truth = float(case.truth[-1])
    end = case.spans.ends[-1] + steps_ahead
    row: dict[str, Any] = {
        "run": case.number, "corpus": case.corpus, "seen": share, "epochs": case.epochs,
        "truth": round(truth, 4), "forecast": round(float(value[0]), 4),
        "low": round(float(low[0]), 4), "high": round(float(high[0]), 4),
        "last_value": round(last_value(case), 4), "power_law": round(power_law(case, end), 4),
    }  # fmt: skip
    if case.seen_accuracy is not None:
        at = case.seen.held_losses[-1] if share < 1 else case.seen.held_losses.min()
        expected = expected_accuracy(value, float(at), case.seen_accuracy, belief)
        row["accuracy_error"] = round(float(expected[0] - case.accuracy[-1]), 4)
    return row


def rows_of(records: list[dict[str, Any]], training_error: float) -> list[dict[str, Any]]:
    """All scored forecasts."""
    rows = []
    for record in records:
        seen = ((s, case_of(record, s, training_error)) for s in SHARES)
        rows += [score(c, s, c.steps - c.spans.ends[-1]) for s, c in seen if c]
        if case := further_case(record, training_error):
            rows.append(score(case, 1.0, record["runs"][1]["steps"]))
    return rows


def bootstrap(values: Any, statistic: Callable[[Any], float]) -> tuple[float, float]:
    """95 % interval of `statistic` over runs drawn again and again."""
    pick = np.random.default_rng(0)
    values = np.asarray(values)
    drawn = [statistic(pick.choice(values, len(values))) for _ in range(RESAMPLES)]
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
    records = [r for r in load(Path(sys.argv[1])) if not is_fitting(r)]
    out = Path(sys.argv[2])
    rows = rows_of(records, learned_belief().training_error)
    out.mkdir(parents=True, exist_ok=True)
    (out / "scores.json").write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")
    text = (
        f"{len(records)} runs that nothing was fitted to. Made by "
        "`python benchmarks/forecast/score.py` from the recorded curves; belief learned from: "
        f"{learned_belief().learned_from}.\n\n"
    ) + summary(rows)
    (out / "summary.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
