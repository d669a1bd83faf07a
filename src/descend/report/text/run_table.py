"""Runs as a table: those of a folder, and finished ones side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from descend.experiments.compare.finished_runs import FinishedComparison
from descend.report.text.experiment_tables import (
    accuracy_column_name,
    divided_table,
    format_accuracy,
    table,
)
from descend.runs.run_list import MODELS, ListedRun
from descend.units import format_duration, format_epochs, quoted

NO_VALUE = "–"

SMALL_NUMBER = re.compile(r"[0-9.]+e-[0-9]+")
"""How Python writes a number below 0.0001."""

MAX_TEXT_NAME = 14
"""Characters of the name of a text: the table then fits into 80 columns."""


def listing_text(runs: Sequence[ListedRun], folder: Path) -> str:
    """Return what `descend list` prints."""
    if not runs:
        return f"There is no run in {folder}. `descend train` creates one."
    head = ("run", "state", "text", "started", "size", "bits/byte")
    rows = [
        (
            Path(r.run).name, r.state, shorten_middle(r.corpus, MAX_TEXT_NAME),
            r.saved_at[5:16].replace("T", " "),
            NO_VALUE if r.parameters is None else format_parameters(r.parameters),
            NO_VALUE if r.bits_per_byte is None else f"{r.bits_per_byte:.3f}",
        )
        for r in runs
    ]  # fmt: skip
    listing = table(head, rows, num_text_columns=4)
    legend = "size: parameters; bits/byte: validation loss per byte of text (lower is better)"
    newest = Path(runs[-1].run)
    name = newest.name if newest.parent == MODELS else str(newest)  # a name is looked up there
    return f"{listing}\n\n{legend}\n`descend show {quoted(name)}` shows the newest run."


def _format_setting(value: str) -> str:
    """Return `0.00003` for `3e-05`, as `train` and `diagnose` print it."""
    if value == "None":
        return "not set"
    return f"{Decimal(value):f}" if SMALL_NUMBER.fullmatch(value) else value


def shorten_middle(name: str, max_length: int) -> str:
    """Return `name`, its middle left out where it is longer."""
    if len(name) <= max_length:
        return name
    half = (max_length - 1) // 2
    return f"{name[: max_length - 1 - half]}…{name[-half:]}"


def format_parameters(count: int) -> str:
    """Return `656k`, `4.2M`."""
    if count < 1_000_000:
        return f"{count / 1e3:.0f}k" if count >= 1000 else str(count)
    millions = count / 1e6
    return f"{millions:.1f}M" if millions < 100 else f"{millions:,.0f}M"


def finished_text(comparison: FinishedComparison) -> str:
    """Return what `descend compare RUN RUN` prints."""
    accuracy = accuracy_column_name(r.bigram_accuracy for r in comparison.runs)
    head = ("run", "bits/byte", "better by", accuracy, "size", "epochs", "time")
    rows = [
        (
            r.run.removeprefix(f"{MODELS}/"), f"{r.bits_per_byte:.3f}",
            NO_VALUE if r.gain is None else f"{r.gain:+.3f}",
            format_accuracy(r.accuracy, r.bigram_accuracy), format_parameters(r.parameters),
            format_epochs(r.epochs).split()[0], format_duration(r.seconds),
        )
        for r in comparison.runs
    ]  # fmt: skip
    lines = [divided_table(head, rows)]
    if comparison.differences:
        keys = [
            f"{key}: {', '.join(map(_format_setting, values))}"
            for key, values in comparison.differences.items()
        ]
        lines.append("settings that differ\n  " + "\n  ".join(keys))
    return "\n\n".join([*lines, comparison.sentence])
