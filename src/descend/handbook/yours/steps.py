"""What a run says of its updates: rate, batch, clipping, schedule."""

from __future__ import annotations

import statistics

from descend.handbook.yours.record import RunRecord
from descend.handbook.yours.wording import rate, trial


def learning_rate(run: RunRecord) -> str:
    """Rates used, how far the weights moved, how often gradients were clipped."""
    rates = [s.learning_rate for s in run.steps]
    ratios = list(run.update_ratios.values())
    moved = (
        f"An update moved a matrix by {rate(statistics.median(ratios))} of its size "
        f"(median of {len(ratios)} matrices; from {rate(min(ratios))} to {rate(max(ratios))}). "
        if ratios
        else ""
    )
    peak = max(rates)
    return (
        f"Over {len(rates):,} updates the rate went from {rate(rates[0])} to a largest of "
        f"{rate(peak)} and ended at {rate(rates[-1])}. {moved}"
        f"{run.clipped_share:.0%} of the updates had their gradients clipped. "
        f"To learn whether another rate serves this text better, "
        + trial(("learning_rate", peak * 3), ("learning_rate", peak / 3))
        + f" and compare with the validation loss of {run.summary.validation_loss:.3f}."
    )


def updates(run: RunRecord) -> str:
    """How the batch cuts the text into updates."""
    return f"{run.updates}"
