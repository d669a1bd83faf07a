"""How a run goes, in one sentence for somebody who watches it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from descend.report.text.run_summary import MIN_LOSS_DIFFERENCE_NATS

MIN_STEPS_FOR_TREND = 60
"""Steps before which the curve is too short to call it falling or flat."""

WAITS = "It waits until the run before it has ended."
LACKS_A_FILE = "Its training ended, but a file of its model is missing."
ENDED_BEFORE_IT_BEGAN = "It ended before it had begun."
COULD_NOT_GO_ON = "It could not go on."
HALTED = {
    "stopped": "It is stopped, and can go on where it was.",
    "paused": "It is paused, and goes on at once when you resume it.",
}
"""By state, what to say after how far a run came."""


def describe_teacher(name: str, *, is_stopped: bool) -> str:
    """Say of a model to come that it learns from another one, and what that one does."""
    state = "is stopped, and can go on where it was" if is_stopped else "is trained first"
    return f"It learns from {name}, which {state}."


def describe_preparation(last_line: str) -> str:
    """Say that a run gets ready, with the last line that it printed, if any."""
    return f"Getting ready: {last_line}" if last_line else "Getting ready …"


def describe_learning(loss: float, baselines: Mapping[str, float]) -> str:
    """Say what a model of this loss (nats per token) has learned, by the n-gram baselines.

    Before the first epoch ends it may be the training loss: that text is as new as other text.
    """
    margin = MIN_LOSS_DIFFERENCE_NATS
    if loss >= baselines["unigram"] + (baselines["uniform"] - baselines["unigram"]) / 2:
        return "It still guesses almost at random."
    if loss >= baselines["unigram"] - margin:
        return "It is learning which tokens are frequent."
    if loss >= baselines["bigram"] - margin:
        return "It knows which tokens are frequent, and learns which follow which."
    return "It uses more context than the previous token."


def describe_trend(losses: Sequence[float]) -> str:
    """Say whether the training loss of all steps falls, rests, or rises.

    Empty where the run is too short to tell, or the change is smaller than the noise. The last
    tenth is compared with the tenth before it.
    """
    if len(losses) < MIN_STEPS_FOR_TREND:
        return ""
    tenth = len(losses) // 10
    before, last = np.reshape(losses[-2 * tenth :], (2, tenth))
    with np.errstate(invalid="ignore"):  # a run that diverges
        change = last.mean() - before.mean()
        noise = 2 * math.sqrt((last.var(ddof=1) + before.var(ddof=1)) / tenth)
    min_change = max(MIN_LOSS_DIFFERENCE_NATS, noise)
    if change > min_change:
        return "The loss is rising."
    if change < -min_change:
        return "The loss is falling."
    return "The loss hardly falls any more." if noise <= MIN_LOSS_DIFFERENCE_NATS else ""
