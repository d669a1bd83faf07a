"""The progress of a run, shown where it was started: in a notebook or on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console

from descend.report.notebook.notebook_progress import show_in_notebook
from descend.report.text.live_progress import print_progress
from descend.runs.events import Event

if TYPE_CHECKING:
    from descend.training.training_run import TrainingRun


def show_progress(records: Iterator[Event], run: TrainingRun, console: Console) -> Iterator[Event]:
    """Pass `records` on unchanged and draw them in the cell of a notebook or on `console`."""
    if console.is_jupyter:
        return show_in_notebook(records, run)
    return print_progress(records, run, console)
