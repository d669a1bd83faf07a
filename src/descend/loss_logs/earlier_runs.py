"""What an earlier run in the same log says of the last one: that may go on with its model.

A program that trains in phases counts from the start in each. A phase that ruins the model of the
one before it looks by itself like a run that learns little.
"""

from __future__ import annotations

import math

from descend.loss_logs.judgment import EvidenceFacts, LogVerdict, Shape
from descend.loss_logs.log import RunLosses
from descend.loss_logs.loss_kinds import GUESS_ERROR

LOST = 0.5
"""Fraction of the fall of an earlier run above whose end the last one ends, from which that fall
is lost. The same is a divergence within one run."""
MIN_EARLIER_FALL = 0.2
"""Fraction of its first loss that an earlier run fell by, so that there is something to lose."""
SAME_START = 0.2
"""Fraction by which first losses of one task and one untrained network differ at most, so that
the later run is another trial and goes on with nothing. A first guess."""
HARDLY_FELL = 0.12
"""Fraction of its first loss by which a run that learns falls at least."""
MIN_GUESSED_LOSS = 0.6
"""Nats of a guess between two, about: with a lower loss, a model knows something."""
MAX_GUESS_RATIO = 1.5
"""Times the accuracy of a guess, exp(-loss), up to which an accuracy at the end is one of
guessing, and one over it. Predictions that mean what they say are right more often: a language
model of loss 4 is right in 30 of 100 tokens, and exp(-4) is 2 of 100. A first guess."""


def ends_above_earlier_run(shape: Shape) -> LogVerdict | None:
    """Return a last run that ends far above what an earlier run in the log came down to."""
    curve, earlier = shape.curve, _lost_run(shape)
    if earlier is None:
        return None
    is_new = abs(curve.first - earlier.first) <= SAME_START * earlier.first
    fell = (curve.first - curve.end) / curve.first
    before = (
        f"an earlier run in this log comes down to {earlier.last:.2f}, and the last one begins at "
        f"{curve.first:.2f} and ends at {curve.end:.2f}"
    )
    if fell >= HARDLY_FELL:
        return (
            None
            if is_new
            else LogVerdict(
                f"{before}: if it goes on with that model, it has lost what that learned. If it is "
                "a run of its own, give its part of the log alone to have it judged"
            )
        )
    guess = f", {describe_guess(shape)}" if describe_guess(shape) else ""
    fact: EvidenceFacts = ("rise_above_earlier_run", curve.end - earlier.last, "nats",
                           (None, LOST * (earlier.first - earlier.last)),
                           "the last run ends above an earlier one")  # fmt: skip
    if is_new:
        return LogVerdict(
            f"{before}, though it begins alike: it hardly learns{guess}", "no", 0.5, None, [fact],
        )  # fmt: skip
    return LogVerdict(
        f"{before}{guess}: if it goes on with that model, it ruined it at once", "no", 0.5,
        "learning_rate_too_high", [fact], {},
        "use the model of the earlier run, or train it further at a tenth of the rate or less, "
        "with a warm-up. If that changes nothing, look whether its weights are loaded",
    )  # fmt: skip


def _lost_run(shape: Shape) -> RunLosses | None:
    """Return the earlier run that came down the furthest, where the last run is far above that."""
    curve = shape.curve
    falling = [r for r in shape.log.earlier_runs
               if r.last < (1 - MIN_EARLIER_FALL) * r.first and r.last > 0]  # fmt: skip
    if not falling or curve.first <= 0:
        return None
    best = min(falling, key=lambda run: run.last)
    return best if curve.end > best.last + LOST * (best.first - best.last) else None


def guesses(shape: Shape) -> LogVerdict | None:
    """Return a run that hardly falls and is right no more often than a guess."""
    curve, guess = shape.curve, describe_guess(shape)
    if not guess or curve.first <= 0 or (curve.first - curve.end) / curve.first >= HARDLY_FELL:
        return None
    return LogVerdict(
        f"the loss hardly falls and ends at {curve.end:.2f}, "
        f"{guess}: nothing is learned", "no", 0.6,
    )  # fmt: skip


def describe_guess(shape: Shape) -> str:
    """Return that the accuracy at the end is one of a guess; empty where it is not, or where none
    is logged."""
    accuracy, curve = shape.log.last_accuracy, shape.curve
    if accuracy is None or curve.end < MIN_GUESSED_LOSS:
        return ""
    guess = math.exp(-curve.end)
    if not guess / MAX_GUESS_RATIO <= accuracy <= min(MAX_GUESS_RATIO * guess, 0.5 + GUESS_ERROR):
        return ""
    return f"with an accuracy of {accuracy:.2g}, as of a guess that costs so much"
