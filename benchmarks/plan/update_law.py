"""Updates the scaling law of `descend plan` by runs of the recipe on whole texts.

    python benchmarks/plan/update_law.py PRIOR RUNS LAW

PRIOR is a law as `fit.py` made it, RUNS the file of `recipe_runs.py`, LAW the law that is written.
The prior is a normal distribution with the parameters and the covariance of PRIOR. What repeated
text is worth depends on the recipe, which undoes merges in it since the prior was fitted
(`bpe_dropout`). So the prior of those two parameters is widened. Texts reserved for reporting are
left out, and runs with another dropout than that of the recipe or with few steps. Every epoch at
whose end the learning rate had fallen is the end of a run: only the last.
"""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from corpora import REPORT_ONLY

from descend.config import make_config
from descend.forecast.least_squares import minimize_squared_residuals
from descend.planner.scaling_law import PARAMETERS, ScalingLaw, ScalingLawInput, bits_per_byte
from descend.training import loop
from descend.training.recipe import choose_dropouts

WIDER = {"passes": 4.0, "memorization": 10.0}
"""Times the prior's standard deviation of the parameters that the recipe changes."""

MIN_STEPS = 30
"""Shorter runs are left out: the formula does not know of the warm-up, and with the two of 19 and
25 steps it fits all others worse."""

RUN_DEVIATION, TEXT_DEVIATION = 0.01, 0.03
"""Shares of the loss: seeds of a run differ by half the first, texts stray by the second."""

TEXTS = ("text", "bits_per_byte")
"""Columns that are no numbers."""

MAX_DROPOUT_DIFFERENCE = 0.11
"""From the dropouts that today's recipe chooses: runs with 0.1 more or less end 0.5 % apart."""


def is_recipe(row: dict[str, Any]) -> bool:
    """Whether a run had about the dropouts that today's recipe chooses for its network and text."""
    keys = ("embed_dim", "num_heads", "num_layers", "ff_dim")
    config = make_config({key: int(row[key]) for key in keys})
    dropouts = choose_dropouts(config, int(row["epoch"]), row["train_tokens"])
    same_end = row.get("min_dropout_rate") == loop.MIN_DROPOUT_RATE
    return same_end and all(
        abs(row[key] - value) <= MAX_DROPOUT_DIFFERENCE for key, value in dropouts.items()
    )


def read_rows(runs: Path) -> list[dict[str, Any]]:
    """The runs as (text, setting, measured bits per byte)."""
    rows = []
    for line in csv.DictReader(runs.read_text("utf-8").splitlines()):
        r = {key: value if key in TEXTS else float(value) for key, value in line.items()}
        if r["text"] in REPORT_ONLY or r["steps"] < MIN_STEPS or not is_recipe(r):
            continue
        setting = ScalingLawInput(
            text_difficulty=r["text_difficulty"], block_parameters=r["block_parameters"],
            width=r["embed_dim"], vocab_size=r["vocab_size"],
            bytes_per_token=r["train_bytes"] / r["train_tokens"], train_tokens=r["train_tokens"],
            tokens=r["tokens"], batch_tokens=r["batch_size"] * r["seq_len"], context=r["seq_len"],
            learning_rate=r["learning_rate"],
        )  # fmt: skip
        rows.append({"text": f"{r['text']} {r['bytes']}", "setting": setting,
                     "measured": float(r["bits_per_byte"].split()[-1]), "row": line})  # fmt: skip
    return rows


def describe(row: dict[str, str]) -> str:
    """What the runs differ in most."""
    return (
        f"{row['num_layers']} x {row['embed_dim']}, vocabulary {row['vocab_size']}, "
        f"epochs {row['epoch']}, BPE-dropout {row['bpe_dropout']}"
    )


def update(prior: ScalingLaw, rows: list[dict[str, Any]]) -> tuple[Any, Any, dict[str, float]]:
    """Parameters, their covariance, and the logarithm by which each text strays."""
    texts = sorted({r["text"] for r in rows})
    place = {t: len(PARAMETERS) + n for n, t in enumerate(texts)}
    mean = np.array(prior.parameters)
    widths = np.array([WIDER.get(name, 1.0) for name in PARAMETERS])
    covariance = np.array(prior.covariance) * np.outer(widths, widths)
    whiten = np.linalg.inv(np.linalg.cholesky(covariance))
    measured = np.log([r["measured"] for r in rows])

    def misses(z: Any) -> Any:
        if z.ndim > 1:
            return np.stack([misses(one) for one in z])
        head = z[: len(PARAMETERS)]
        expected = np.log([bits_per_byte(head, r["setting"]) for r in rows])
        offsets = z[[place[r["text"]] for r in rows]]
        strays = z[len(PARAMETERS) :] / TEXT_DEVIATION
        errors = (expected + offsets - measured) / RUN_DEVIATION
        return np.concatenate([errors, whiten @ (head - mean), strays])

    start = np.concatenate([mean, np.zeros(len(texts))])
    z, curvature = minimize_squared_residuals(misses, start)
    count = len(PARAMETERS)
    posterior = np.linalg.inv(curvature)[:count, :count]
    return z[:count], posterior, {t: float(z[n]) for t, n in place.items()}


def main() -> None:
    prior_file, runs, target = map(Path, sys.argv[1:])
    prior = msgspec.json.decode(prior_file.read_bytes(), type=ScalingLaw)
    rows = read_rows(runs)
    z, covariance, offsets = update(prior, rows)
    for name, before, value, deviation in zip(
        PARAMETERS, prior.parameters, z, np.sqrt(np.diag(covariance)), strict=True
    ):
        print(f"{name:14} {before:7.3f} -> {value:7.3f} ± {deviation:.3f}")
    print("offsets", {text: round(offset, 3) for text, offset in offsets.items()})
    rest = []
    for r in rows:
        was, now = (bits_per_byte(np.array(p), r["setting"]) for p in (prior.parameters, z))
        rest.append(math.log(r["measured"] / now) - offsets[r["text"]])
        print(f"{r['text']:32} {describe(r['row'])} measured {r['measured']:.4f}, "
              f"before {was:.4f}, now {now:.4f}")  # fmt: skip
    print("run", round(float(np.std(rest)), 4))
    law = ScalingLaw(
        parameters=[float(x) for x in z], covariance=covariance.tolist(),
        text_deviation=prior.text_deviation,
        run_deviation=max(prior.run_deviation, float(np.std(rest))),
        fitted_on=f"{prior.fitted_on}; updated by update_law.py with {len(rows)} runs",
    )  # fmt: skip
    target.write_bytes(msgspec.json.format(msgspec.json.encode(law)) + b"\n")


if __name__ == "__main__":
    main()
