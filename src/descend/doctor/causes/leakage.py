"""Held-out text stands in the training text.

What it is:
    Passages that should judge the model were trained on; its score says how well it remembers.

How it shows:
    Runs of 32 tokens of the held-out text stand word for word in training; on the rest the loss
    is much higher.

Not to be confused:
    Common phrases and licence headers overlap in honest splits as well, by a few percent.

Proof:
    The same model judged on the held-out tokens that do not stand in training.

Remedy:
    Remove the copies (`descend corpus add --deduplicate near`) and train again.

When it is not this:
    The loss without the copied passages is the same.

Source:
    Deduplicating training data: Lee et al. 2021, arXiv 2107.06499.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.doctor.cause import Cause, Change, Expectation, name_of
from descend.doctor.reading import Readings, value


def trial(config: RunConfig, readings: Readings) -> tuple[Change, ...]:
    """No setting to try: it is measured."""
    return ()


LEAST = 0.05
"""Share of held-out tokens that stand in training, from which it is a leak: honest splits of the
embedded corpora and of four books show under 2 %. First guess."""
BY_HEART = 1.0
"""Nats that a token known by heart costs less, where no token is left to compare with. First
guess."""


def measured(readings: Readings) -> float:
    """What the loss would be higher on held-out text that is not in training.

    Copies that stand all over the text explain as much of it as their share.
    """
    share = value(readings, "overlap")
    if share < LEAST:
        return 0.0
    known = max(value(readings, "clean_rise"), share * BY_HEART)
    return known * (1.0 - value(readings, "repeats"))


CAUSE = Cause(
    name=name_of(__name__),
    headline="held-out text stands in the training text, so the loss on it flatters",
    page=__doc__,
    expects=(
        Expectation(
            "overlap", 0.02, None, 2.1, "of the held-out text stands in training too", outside=2.3
        ),
        Expectation("clean_rise", 0.02, None, 1.0, "nats more on the held-out text that does not"),
    ),
    trial=trial,
    remedy="remove the copies with `descend corpus add --deduplicate near`, then train again",
    measured=measured,
    prior=-0.3,
)
