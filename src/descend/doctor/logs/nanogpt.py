"""What nanoGPT prints: `iter 100: loss 2.3456, time 50.12ms, mfu 3.21%` for a training batch and
`step 250: train loss 1.9600, val loss 2.0100` for an evaluation.

Programs descended from it vary the words; what is common is `step|iter N` (or `N/M`), then losses.
Lines with a loss and no place (`loss 3.0`) are read in their order, where no other line has one.
Source: github.com/karpathy/nanoGPT, train.py; llm.c and modded-nanogpt for the variants.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from descend.doctor.logs.log import Log, log_of

_NUMBER = r"(nan|[-+]?inf|[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?)"
_PLACE = re.compile(r"\b(?:iter(?:ation)?|step|it)\b[\s:=#]*(\d+)", re.IGNORECASE)
_EPOCH = re.compile(r"\bepoch\b[\s:=#]*(\d+(?:\.\d+)?)", re.IGNORECASE)
_SPLITS = tuple(
    (name, re.compile(rf"{words}\b[\s:=]*{_NUMBER}", re.IGNORECASE))
    for name, words in (
        ("val_loss", r"\b(?:val|valid|validation|eval|test)[ _/]*loss"),
        ("train_loss", r"\btrain(?:ing)?[ _/]*loss"),
        ("loss", r"(?<![\w/])(?<!val )(?<!train )(?<!eval )(?<!test )(?<!training )loss"),
        ("lr", r"\b(?:lr|learning[ _]rate)"),
        ("grad_norm", r"\b(?:grad[ _]?norm|norm)"),
    )
)


def parse(text: str) -> Log | None:
    """The log in `text`, or None if its lines are of another kind."""
    rows: list[Mapping[str, Any]] = []
    skipped = 0
    for line in text.splitlines():
        row = _row(line)
        if row is None:
            skipped += bool(line.strip())
        else:
            rows.append(row)
    # Losses without a place are a curve where there are no others: a print of the loss alone.
    for place in ("step", "epoch"):
        if placed := [row for row in rows if place in row]:
            rows = placed
            break
    return log_of("console lines as of nanoGPT", _one_name(rows), skipped) if rows else None


def _row(line: str) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for name, pattern in _SPLITS:
        if match := pattern.search(line):
            found[name] = match[1].replace(",", "")
    if not {"val_loss", "train_loss", "loss"} & found.keys():
        return None
    if place := _PLACE.search(line):
        found["step"] = place[1]
    if epoch := _EPOCH.search(line):
        found["epoch"] = epoch[1]
    return found


def _one_name(rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Where batches (`loss`) and evaluations (`train loss`) are both logged, the evaluations are
    the fewer and the smoother: they are left to validation, the batches are the curve."""
    batches = sum("loss" in row for row in rows)
    evaluations = sum("train_loss" in row for row in rows)
    drop = "train_loss" if batches > evaluations else "loss"
    return [{k: v for k, v in row.items() if k != drop} for row in rows]
