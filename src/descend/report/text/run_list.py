"""Runs as a table: those of a folder, and finished ones side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from descend.experiments.compare.finished_runs import FinishedComparison
from descend.report.text.experiments import table
from descend.runs.run_list import ListedRun
from descend.units import format_duration

NO_VALUE = "–"


def listing_text(runs: Sequence[ListedRun], folder: Path) -> str:
    """What `descend list` prints."""
    if not runs:
        return f"There is no run in {folder}. `descend train` creates one."
    head = ("run", "state", "text", "started", "epochs", "parameters", "loss", "bits/byte")
    rows = [
        (
            Path(r.run).name, r.state, r.corpus, r.saved_at[:16].replace("T", " "), str(r.epochs),
            NO_VALUE if r.parameters is None else f"{r.parameters:,}",
            NO_VALUE if r.validation_loss is None else f"{r.validation_loss:.3f}",
            NO_VALUE if r.bits_per_byte is None else f"{r.bits_per_byte:.3f}",
        )
        for r in runs
    ]  # fmt: skip
    return table(head, rows, num_text_columns=4)


def finished_text(comparison: FinishedComparison) -> str:
    """What `descend compare RUN RUN` prints."""
    head = ("run", "bits/byte", "better by", "accuracy", "parameters", "epochs", "time")
    rows = [
        (
            r.run, f"{r.bits_per_byte:.3f}",
            NO_VALUE if r.gain is None else f"{r.gain:+.3f}",
            f"{r.accuracy:.1%}", f"{r.parameters:,}", str(r.epochs), format_duration(r.seconds),
        )
        for r in comparison.runs
    ]  # fmt: skip
    lines = [table(head, rows)]
    if comparison.differences:
        keys = [f"{key}: {', '.join(values)}" for key, values in comparison.differences.items()]
        lines.append("settings that differ\n  " + "\n  ".join(keys))
    return "\n\n".join([*lines, comparison.sentence])
