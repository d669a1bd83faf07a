"""The held-out text is of another kind.

What it is:
    The model is judged on text unlike what it was trained on, such as another language, author
    or subject.

How it shows:
    A counting model foretells the held-out text far better from a piece of that text than from all
    of the training text, which is not so of any stretch of the training text itself; the gap
    between known and held-out text is there from the start.

Not to be confused:
    Learning by heart opens the same gap, but later, and counting models do not show it.

Proof:
    The same comparison for eight stretches of the training text as long, each left out of what
    is counted: the held-out text must be more foreign than the most foreign of them.

Remedy:
    Mix the text before it is split (many documents instead of one), or train on text of the
    kind that is judged.

When it is not this:
    Some stretch of the training text is about as foreign to the rest of it.

Source:
    Dataset shift: Quionero-Candela et al. 2009.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.doctor.cause import Cause, Change, Expectation, name_of
from descend.doctor.reading import Readings, value


def trial(config: RunConfig, readings: Readings) -> tuple[Change, ...]:
    """No setting to try: it is measured."""
    return ()


LEAST = 0.5
"""Nats by which the held-out text is more foreign than any stretch of the training text. Origin:
0.73 to 6.1 in ten planted shifts (benchmarks/diagnosis, development), 0.09 at most where there is
none, four books and program text among them."""


MOST_COPIES = 0.15
"""Share of the training text that is copies, from which nothing is said: a stretch set aside is
easy then, since it stands elsewhere too."""


def measured(readings: Readings) -> float:
    """How much more foreign the held-out text is than what differs within the training text."""
    found = value(readings, "shift")
    return found if found >= LEAST and value(readings, "repeats") < MOST_COPIES else 0.0


CAUSE = Cause(
    name=name_of(__name__),
    headline="the held-out text is of another kind than the training text",
    page=__doc__,
    expects=(
        Expectation(
            "shift",
            LEAST,
            None,
            3.1,
            "nats that it is more foreign than any part of the training text",
            outside=3.2,
        ),
    ),
    trial=trial,
    remedy="mix the text before it is split, or train on text of the kind that is judged",
    measured=measured,
    prior=-0.1,
)
