"""What a foreign loss log comes down to: entries in order, as far as the log names them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

Unit = Literal["steps", "epochs", "entries"]
"""What `Entry.at` counts: entries, where the log names neither steps nor epochs."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line's worth. Losses in nats per token, as logged; they may be not-a-number here."""

    at: float
    training: float | None = None
    validation: float | None = None
    rate: float | None = None
    gradient_norm: float | None = None


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """A log as read. `skipped`: lines that hold no loss, which is no fault."""

    kind: str
    unit: Unit
    entries: list[Entry]
    skipped: int = 0


NAMES: dict[str, tuple[str, ...]] = {
    # The likelier meaning first: where two columns fit, the first name of a row is taken.
    "step": ("step", "iteration", "iter", "global_step", "update", "updates", "it", "num_steps",
             "trainer/global_step", "_step", "batch", "n_iter", "train_step"),
    "epoch": ("epoch", "epochs", "train/epoch"),
    "training": ("train_loss", "training_loss", "train/loss", "loss/train", "loss", "train",
                 "loss_train", "trainloss", "train_loss_step", "loss_step", "train_loss_epoch",
                 "lossf", "nll", "cross_entropy"),
    "validation": ("val_loss", "validation_loss", "eval_loss", "val/loss", "eval/loss", "loss/val",
                   "loss/validation", "valid_loss", "test_loss", "dev_loss", "val", "validation",
                   "valid", "eval", "loss_val", "valloss", "evalloss", "validation/loss",
                   "valid/loss", "test/loss"),
    "rate": ("learning_rate", "lr", "train/learning_rate", "train/lr", "lr_adamw"),
    "gradient_norm": ("grad_norm", "gradient_norm", "train/grad_norm", "gnorm", "norm"),
}  # fmt: skip
"""Spellings of what we look for, compared in lower case with blanks, dashes and dots as `_`."""


def plain(name: str) -> str:
    """A column's or key's name in the spelling of `NAMES`."""
    return name.strip().strip("\"'").lower().replace(" ", "_").replace("-", "_").replace(".", "_")


def meanings(names: list[str]) -> dict[str, str]:
    """Which of `names` (as the file spells them) stands for what; nothing twice."""
    spelled = {plain(name): name for name in reversed(names)}
    found: dict[str, str] = {}
    for meaning, known in NAMES.items():
        for candidate in known:
            if candidate in spelled:
                found[meaning] = spelled[candidate]
                break
    return found


def number(value: object) -> float | None:
    """A number, also where it is written as text; None for what is none, an empty cell say."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        text = value.strip().strip("\"'").replace("−", "-")
        if text.count(",") == 1 and "." not in text:
            text = text.replace(",", ".")  # 3,14 as a spreadsheet of another country writes it
        try:
            return float(text)
        except ValueError:
            return None
    return None


def log_of(kind: str, rows: Sequence[Mapping[str, Any]], skipped: int = 0) -> Log:
    """The log that `rows` (names and values as the file has them) hold.

    The names of all rows together decide what each means. Of several rows at one place, as the
    Trainer writes them for training and evaluation, the values are joined.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    of = meanings(names)
    unit: Unit = "steps" if "step" in of else "epochs" if "epoch" in of else "entries"
    place = of.get("step") or of.get("epoch")
    joined: dict[float, dict[str, float]] = {}
    last, seen = 0.0, 0
    for row in rows:
        values = {m: n for m in NAMES if m in of and (n := number(row.get(of[m]))) is not None}
        if "training" not in values and "validation" not in values:
            skipped += 1
            continue
        seen += 1
        at = number(row.get(place)) if place else float(seen)
        last = at if at is not None and math.isfinite(at) else last
        joined.setdefault(last, {}).update(values)
    entries = [
        Entry(
            at=at, training=v.get("training"), validation=v.get("validation"),
            rate=v.get("rate"), gradient_norm=v.get("gradient_norm"),
        )
        for at, v in joined.items()
    ]  # fmt: skip
    return Log(kind=kind, unit=unit, entries=entries, skipped=skipped)
