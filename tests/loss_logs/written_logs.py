"""Lines of made-up logs, written to a file and read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from descend.loss_logs.diagnose_log import LogDiagnosis, diagnose_log
from descend.loss_logs.log import LossLog

Layout = Callable[[int, int, float], str]
"""Epoch, line of the epoch, and loss to a line of a log."""
Points = list[tuple[float, float]]
"""Positions and losses."""


def written(
    tmp_path: Path, lines: str | Sequence[str], name: str = "train.log", encoding: str = "utf-8"
) -> Path:
    """The path of a file of `lines`, or of a text."""
    path = tmp_path / name
    text = lines if isinstance(lines, str) else "\n".join(lines)
    path.write_text(text, encoding=encoding)
    return path


def diagnose_text(
    tmp_path: Path, text: str, name: str = "train.log", vocab: int = 0
) -> LogDiagnosis:
    """The diagnosis of a log with this text."""
    return diagnose_log(written(tmp_path, text, name), vocab_size=vocab or None)


def train_losses(log: LossLog) -> list[float]:
    """The training losses of a log."""
    return [e.train_loss for e in log.entries if e.train_loss is not None]


def train_points(log: LossLog) -> Points:
    """The training losses and where they stand."""
    return [(e.position, e.train_loss) for e in log.entries if e.train_loss is not None]


def validation_points(log: LossLog) -> Points:
    """The validation losses and where they stand."""
    return [(e.position, e.validation_loss) for e in log.entries if e.validation_loss is not None]


def both_sides(log: LossLog) -> tuple[Points, Points]:
    """Training and validation."""
    return train_points(log), validation_points(log)


def steps_alone(epoch: int, line: int, loss: float) -> str:
    """A line with a counter that begins anew."""
    return f"step {50 * (line + 1)}/300 loss {loss:.4f}"
