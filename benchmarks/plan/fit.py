"""Fits the outlook of `descend plan` to the trials on all corpora but those kept for reporting.

    python benchmarks/plan/fit.py TRIALS OUTLOOK [CURVES [RUN …]]

TRIALS is the file of trials, CURVES that of the forecast benchmark: its runs with the recipe's
network, optimizer and schedule are small trials on more texts. RUN are files of
`benchmarks/curve.py`, such as benchmarks/results/presets/*_fast.json: runs of full size. What each
parameter was thought to be before (`BEFORE`) comes from the literature named in `outlook.py`, the
rate from the recipe; it counts little where there is data.
"""

from __future__ import annotations

import datetime
import json
import math
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from corpora import REPORT_ONLY

from descend.forecast.least_squares import minimize_squared_residuals
from descend.planner.corpus_profile import CorpusProfile
from descend.planner.scaling_law import PARAMETERS, ScalingLaw, ScalingLawInput, bits_per_byte

BEFORE = {
    "floor": (math.log(0.40), 0.5),
    "size": (math.log(0.12), 0.7), "size_power": (math.log(0.34), 0.2),
    "text": (math.log(0.30), 0.7), "text_power": (math.log(0.30), 0.3),
    "passes": (math.log(4.0), 0.7), "batch": (0.0, 1.0), "vocabulary": (math.log(0.5), 1.0),
    "rate_curve": (math.log(0.02), 1.0), "memorization": (math.log(0.002), 1.0),
    "best_rate": (math.log(0.001), 0.3), "rate_by_batch": (0.3, 0.3),
    "rate_by_width": (-0.3, 0.3), "context": (0.01, 0.02), "long_tokens": (0.0, 0.1),
    "less_noise": (0.0, 0.02),
}  # fmt: skip
"""Mean and standard deviation of each parameter."""

SCATTER = 0.04
"""Fraction of the loss by which a run is first thought to stray from the formula."""

NEAR = 0.05
"""Fraction of the loss behind the best trial of a text and limit, at which a trial counts half: a
plan has to tell good configurations from better ones, and how bad a bad one is need not be
known."""

UNRIVALLED = 0.1
"""The same for runs that had no rivals: those of the forecast benchmark and of full size."""

MIN_STEPS = 20
"""Trials of fewer updates are left out: the formula does not describe the first moments."""


def rows_of(trials: Path, hardness: dict[str, float]) -> list[dict[str, Any]]:
    """Trials as (corpus, setting, measured bits per byte)."""
    rows = []
    for line in trials.read_text().splitlines():
        r = json.loads(line)
        v = r["values"]
        if r["steps"] < MIN_STEPS or v.get("architecture", "modern") != "modern":
            continue
        steps = r["best_step"]
        setting = ScalingLawInput(
            text_difficulty=hardness[r["corpus"]],
            block_parameters=12 * v["num_layers"] * v["embed_dim"] ** 2,
            width=v["embed_dim"], vocab_size=r["vocab_size"],
            bytes_per_token=r["train_bytes"] / r["train_tokens"],
            train_tokens=r["train_tokens"], tokens=r["steps"] * v["batch_size"] * v["seq_len"],
            batch_tokens=v["batch_size"] * v["seq_len"], context=v["seq_len"],
            learning_rate=v["learning_rate"],
        )  # fmt: skip
        rows.append({"corpus": r["corpus"], "setting": setting, "measured": r["bits_per_byte"],
                     "seconds": r["seconds"], "steps": steps, "rivals": True})  # fmt: skip
    return rows


def curve_rows(curves: Path, hardness: dict[str, float]) -> list[dict[str, Any]]:
    """The same from recorded curves."""
    rows = []
    for line in curves.read_text().splitlines():
        r = json.loads(line)
        c, run = r["config"], r["runs"][0]
        if r["corpus"] not in hardness:
            continue
        kind = (c["architecture"], c["optimizer"], c["schedule"], c["dropout_rate"])
        if kind != ("modern", "muon", "wsd", 0.0) or run["steps"] < MIN_STEPS:
            continue
        setting = ScalingLawInput(
            text_difficulty=hardness[r["corpus"]],
            block_parameters=12 * c["num_layers"] * c["embed_dim"] ** 2,
            width=c["embed_dim"], vocab_size=c["vocab_size"],
            bytes_per_token=r["train_bytes"] / r["train_tokens"],
            train_tokens=r["train_tokens"], tokens=run["steps"] * run["tokens_per_step"],
            batch_tokens=run["tokens_per_step"], context=c["seq_len"],
            learning_rate=c["learning_rate"],
        )  # fmt: skip
        rows.append({
            "corpus": r["corpus"], "setting": setting, "seconds": 0.0, "steps": run["steps"],
            "rivals": False,
            "measured": min(e["bits_per_byte"] for e in run["epochs"]),
        })  # fmt: skip
    return rows


def run_row(file: Path, hardness: dict[str, float]) -> dict[str, Any]:
    """The same from one run of full size."""
    run = json.loads(file.read_text())
    c, corpus, result = run["resolved"], run["corpus"], run["result"]
    name = run["command"].split()[2].removesuffix(".txt")
    batch = c["batch_size"] * c["seq_len"]
    last = result["epochs"][-1]
    setting = ScalingLawInput(
        text_difficulty=hardness[name],
        block_parameters=12 * c["num_layers"] * c["embed_dim"] ** 2,
        width=c["embed_dim"], vocab_size=c["vocab_size"],
        bytes_per_token=corpus["train_bytes"] / corpus["train_tokens"],
        train_tokens=corpus["train_tokens"], tokens=last["step"] * batch,
        batch_tokens=batch, context=c["seq_len"], learning_rate=c["learning_rate"],
    )  # fmt: skip
    return {
        "corpus": name, "setting": setting, "seconds": result["seconds"], "steps": last["step"],
        "measured": result["bits_per_byte"], "rivals": False,
    }  # fmt: skip


def behind(rows: list[dict[str, Any]]) -> Any:
    """Fraction of the loss by which each trial is behind the best of its text and limit."""
    best: dict[tuple[str, float], float] = {}
    for r in rows:
        key = (r["corpus"], r["seconds"])
        best[key] = min(best.get(key, r["measured"]), r["measured"])
    return np.array([
        math.log(r["measured"] / best[r["corpus"], r["seconds"]]) if r["rivals"] else UNRIVALLED
        for r in rows
    ])  # fmt: skip


def fit(rows: list[dict[str, Any]], scatter: float = SCATTER) -> tuple[Any, Any, dict[str, float]]:
    """Parameters, their covariance, and for each corpus what it strays by (as a logarithm).

    Each corpus has an offset of its own, thought to be about `TEXT_SCATTER`: how far a text that
    was never seen may stray follows from them.
    """
    corpora = sorted({r["corpus"] for r in rows})
    place = {c: len(PARAMETERS) + i for i, c in enumerate(corpora)}
    means = np.array([BEFORE[p][0] for p in PARAMETERS])
    spreads = np.array([BEFORE[p][1] for p in PARAMETERS])
    measured = np.log([r["measured"] for r in rows])
    doubts = scatter * (1 + behind(rows) / NEAR)

    def misses(z: Any) -> Any:
        if z.ndim > 1:
            return np.stack([misses(one) for one in z])
        head = z[: len(PARAMETERS)]
        expected = np.log([bits_per_byte(head, r["setting"]) for r in rows])
        offsets = z[[place[r["corpus"]] for r in rows]]
        error = (expected + offsets - measured) / doubts
        # Like Huber's: far strays count in proportion, not squared.
        size = np.abs(error)
        error = np.sign(error) * np.where(size < 2, size, np.sqrt(np.maximum(4 * size - 4, 0)))
        return np.concatenate(
            [error, (head - means) / spreads, z[len(PARAMETERS) :] / TEXT_SCATTER]
        )

    start = np.concatenate([means, np.zeros(len(corpora))])
    z, curvature = minimize_squared_residuals(misses, start)
    covariance = np.linalg.inv(curvature)
    count = len(PARAMETERS)
    return (
        z[:count],
        covariance[:count, :count],
        {c: float(z[i]) for c, i in place.items()},
    )


TEXT_SCATTER = 0.05

GAUSSIAN = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation: a single far
stray does not widen all intervals."""


def main() -> None:
    samples = json.loads((Path(__file__).parent / "samples.json").read_text())
    hardness = {
        name: msgspec.convert(records, type=CorpusProfile, strict=False).difficulty
        for name, records in samples.items()
    }
    rows = rows_of(Path(sys.argv[1]), hardness)
    if len(sys.argv) > 3:
        rows += curve_rows(Path(sys.argv[3]), hardness)
    rows += [run_row(Path(file), hardness) for file in sys.argv[4:]]
    rows = [r for r in rows if r["corpus"] not in REPORT_ONLY]
    z, covariance, offsets = fit(rows)
    rest = np.array([
        math.log(r["measured"] / bits_per_byte(z, r["setting"])) - offsets[r["corpus"]]
        for r in rows
    ])  # fmt: skip
    near = behind(rows) < NEAR
    texts = list(offsets.values())
    outlook = ScalingLaw(
        parameters=[float(x) for x in z], covariance=covariance.tolist(),
        text_deviation=max(float(np.std(texts)), 0.02),
        run_deviation=GAUSSIAN * float(np.median(np.abs(rest)[near])),
        fitted_on=f"benchmarks/plan/fit.py, {len(rows)} runs on {len(texts)} texts, "
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
    )  # fmt: skip
    for name, value, deviation in zip(PARAMETERS, z, np.sqrt(np.diag(covariance)), strict=True):
        print(f"{name:14} {value:7.3f} ± {deviation:.3f}   exp {math.exp(value):.4f}")
    print("offsets", {c: round(o, 3) for c, o in offsets.items()})
    print("run", round(outlook.run_deviation, 4), "text", round(outlook.text_deviation, 4))
    Path(sys.argv[2]).write_bytes(msgspec.json.format(msgspec.json.encode(outlook)) + b"\n")


if __name__ == "__main__":
    main()
