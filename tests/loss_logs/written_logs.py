"""Lines of made-up logs, written to a file and read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from descend.loss_logs.log import LossLog

Layout = Callable[[int, int, float], str]
"""Epoch, line of the epoch, and loss to a line of a log."""


def written(tmp_path: Path, lines: Sequence[str], name: str = "train.log") -> Path:
    """The path of a file of `lines`."""
    path = tmp_path / name
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def train_losses(log: LossLog) -> list[float]:
    """The training losses of a log."""
    return [e.train_loss for e in log.entries if e.train_loss is not None]


def steps_alone(epoch: int, line: int, loss: float) -> str:
    """A line with a counter that begins anew."""
    return f"step {50 * (line + 1)}/300 loss {loss:.4f}"
