"""The text is there more than once.

What it is:
    Copies make a text look longer than it is: every pass over it is several passes over the
    same.

How it shows:
    A good share of all runs of 32 tokens stood in the text before; learning by heart sets in
    after fewer passes than planned.

Not to be confused:
    Poems, logs and source code repeat themselves by nature, by some percent.

Proof:
    Counted, not tried: the share of the text that is copies. How much text matters here, the
    trial with half of it says.

Remedy:
    Remove the copies (`descend corpus add --deduplicate near`).

When it is not this:
    Under a few percent of the text is copies.

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


LEAST = 0.15
"""Share of the text that is copies, from which it is worth a word; first guess."""
BY_COPIES = 2.0
"""Nats that the loss is off for a text of copies only; first guess: the trial with half the text
says more."""


def measured(readings: Readings) -> float:
    """Nats by which copies flatter the training loss and shorten the text."""
    share = value(readings, "repeats")
    return share * BY_COPIES if share >= LEAST else 0.0


CAUSE = Cause(
    name=name_of(__name__),
    headline="a good part of the text is there more than once",
    page=__doc__,
    expects=(
        Expectation(
            "repeats", 0.2, None, 3.0, "of the training text stood there before", outside=3.2
        ),
    ),
    trial=trial,
    remedy="remove the copies with `descend corpus add --deduplicate near`, then train again",
    measured=measured,
    prior=-0.2,
)
