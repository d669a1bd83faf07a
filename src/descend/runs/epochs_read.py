"""How often a run read its text: the one number that every statement about it uses."""

from __future__ import annotations

from descend.runs.run_files import RunSummary
from descend.units import format_epochs


def count_epochs_read(summary: RunSummary) -> float:
    """Return how often the run read its text; below one for a part of the text.

    A summary of an older version counts a part of an epoch as a whole one.
    """
    begun = float(summary.epochs[-1].epoch) if summary.epochs else 0.0
    return begun if summary.num_epochs is None else min(summary.num_epochs, begun)


def reads_whole_text(num_epochs: float) -> bool:
    """Return whether a run of `num_epochs` reads its text once, but for some batches."""
    return num_epochs >= WHOLE_EPOCH


WHOLE_EPOCH = 0.98
"""Epochs from which another epoch is no advice to read the rest."""


def format_epochs_read(summary: RunSummary) -> str:
    """Format how often the run read its text: `3 epochs`, `0.077 epochs`."""
    return format_epochs(count_epochs_read(summary))


def count_tokens_read(summary: RunSummary) -> int:
    """Return the training tokens that the run predicted, repeated ones included."""
    return round(summary.tokens_per_second * summary.seconds)  # the speed is their quotient
