"""Where a curve was going, against where it went: the power law and its bootstrap on recorded runs.

    python benchmarks/ranges/extrapolation.py RESULTS CURVES …

CURVES: files of recorded runs, as in benchmarks/results/forecast. Of each run whose rate stood at
its peak for a while, half of that part is seen; the truth is the mean training loss of the last
twentieth of it, where the law is requested. Nothing is trained. Writes RESULTS/extrapolation.json:
a line a run, and before them how many truths lay in their 95 % interval, and the median error in
nats of
the law and of taking the newest loss for it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from descend.metrics.extrapolation import AT_PEAK
from descend.metrics.power_law import extrapolate_curve
from descend.training.lr_schedule import decay_factor

LAST = 0.95
"""Of the seen and hidden part: the truth is the mean loss after that."""


def row(record: dict[str, Any], file: str) -> dict[str, Any] | None:
    """One run; None where its rate never stood at the peak, or too short a time."""
    config, run = record["config"], record["runs"][0]
    if config["schedule"] not in ("constant", "wsd") or config["label_smoothing"]:
        return None
    ends = np.linspace(0, run["steps"], len(run["bins"]) + 1)
    middles, losses = (ends[1:] + ends[:-1] + 1) / 2, np.array(run["bins"])
    left = (run["steps"] - middles) / max(run["steps"] - run["warmup_steps"], 1)
    share = np.array([decay_factor(config["schedule"], float(x)) for x in np.minimum(left, 1.0)])
    there = (middles > run["warmup_steps"]) & (share >= AT_PEAK)
    t, y = middles[there], losses[there]
    observed = t <= t[-1] / 2
    extrapolation = extrapolate_curve(t[observed], y[observed])
    if extrapolation is None:
        return None
    truth = float(y[t >= LAST * t[-1]].mean())
    return {
        "file": file, "run": record["number"], "corpus": record["corpus"],
        "steps_seen": int(t[observed][-1]), "now": round(float(y[observed][-8:].mean()), 3),
        "loss": round(extrapolation.loss, 3), "low": round(extrapolation.ci95[0], 3),
        "high": round(extrapolation.ci95[1], 3), "truth": round(truth, 3),
    }  # fmt: skip


def main() -> None:
    rows = []
    for name in sys.argv[2:]:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
        rows += [r for line in lines if (r := row(json.loads(line), Path(name).name))]
    inside = sum(r["low"] <= r["truth"] <= r["high"] for r in rows)
    errors = {
        what: round(float(np.median([abs(r[what] - r["truth"]) for r in rows])), 3)
        for what in ("loss", "now")
    }
    first = {"runs": len(rows), "inside": inside, "median_error": errors}
    text = "[\n" + ",\n".join(json.dumps(r) for r in [first, *rows]) + "\n]\n"
    (Path(sys.argv[1]) / "extrapolation.json").write_text(text, encoding="utf-8")
    print(first)


if __name__ == "__main__":
    main()
