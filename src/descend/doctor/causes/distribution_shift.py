"""The held-out text is of another kind.

What it is:
    The model is judged on text unlike what it was trained on, such as another language, author
    or subject.

How it shows:
    Even a counting model does worse on the held-out text than on stretches of the training text
    that it did not count; the gap between known and held-out text is there from the start.

Not to be confused:
    Learning by heart opens the same gap, but later, and counting models do not show it.

Proof:
    A bigram model scored on the held-out text, and on eight stretches of the training text as
    long, each left out of what it counts; the error is how much these differ among themselves.

Remedy:
    Mix the text before it is split (many documents instead of one), or train on text of the
    kind that is judged.

When it is not this:
    A counting model does as well on both.

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
"""Nats that a counting model does worse on held-out text. First guess; text of another language
differs by whole nats, the end of a book by less than 0.1."""
SURE = 3.0
"""Standard errors."""


MOST_COPIES = 0.15
"""Share of the training text that is copies, from which nothing is said: a stretch set aside is
easy then, since it stands elsewhere too."""


def measured(readings: Readings) -> float:
    """How much harder the held-out text is, for a model that cannot learn by heart."""
    found = readings.get("shift")
    if found is None or value(readings, "repeats") >= MOST_COPIES:
        return 0.0
    return found.value if found.value >= max(LEAST, SURE * found.error) else 0.0


CAUSE = Cause(
    name=name_of(__name__),
    headline="the held-out text is of another kind than the training text",
    page=__doc__,
    expects=(
        Expectation("shift", LEAST, None, 3.0, "nats that a counting model does worse on it"),
    ),
    trial=trial,
    remedy="mix the text before it is split, or train on text of the kind that is judged",
    measured=measured,
)
