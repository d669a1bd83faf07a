"""The text is that hard: nothing is left to gain.

What it is:
    The rest of the loss is real uncertainty of the text, which no model can remove.

How it shows:
    The model predicts as well as counting does, counting longer contexts brings nothing more, and
    no token tells anything of one further on; no change of any setting lowers the loss.

Not to be confused:
    A run that has not begun to use its context also stands where counting stands; there,
    counting longer contexts does bring more.

Proof:
    All changes that were raced came out neutral.

Remedy:
    None: stop here, or use cleaner text.

When it is not this:
    Some change gains, or longer counted contexts do.

Source:
    Universal coding bounds the entropy from above: arXiv 1606.06996.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.doctor.cause import Cause, Change, Expectation, name_of
from descend.doctor.reading import Readings


def trial(config: RunConfig, readings: Readings) -> tuple[Change, ...]:
    """No setting to try: it is measured."""
    return ()


CAUSE = Cause(
    name=name_of(__name__),
    headline="it is at the floor: what is left is chance in the text",
    page=__doc__,
    expects=(
        Expectation(
            "counting_ladder",
            None,
            0.02,
            1.4,
            "nats that longer counted contexts bring",
            outside=2.0,
        ),
        Expectation(
            "floor_gap", None, 0.05, 1.4, "nats above the best that counting reaches", outside=2.0
        ),
        Expectation(
            "information", None, 0.02, 2.1, "nats that a token tells of one further on", outside=2.7
        ),
    ),
    trial=trial,
    remedy="nothing is left to gain on this text; cleaner text would have a lower floor",
    prior=-0.6,
)
