"""The context is not used.

What it is:
    The model reads many tokens and predicts as if it had read one or two.

How it shows:
    The loss does not fall with the number of tokens read, or no further after the first quarter
    of them.

Not to be confused:
    Early in training every model passes through this state. Text of which each token depends on
    one before it only has no more to give.

Proof:
    A quarter of the context and four times the batch: if nothing is lost, the rest was not
    used.

Remedy:
    A shorter context, which trains faster; or longer training, until the context is used.

When it is not this:
    The loss falls with every doubling of the tokens read.

Source:
    Sub-n-grams are nearly stationary points: arXiv 2508.12837.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.doctor.cause import Cause, Change, Expectation, name_of
from descend.doctor.reading import Readings

UNUSED = 0.05
"""Nats that all of the context but one token brings; first guess."""
FACTORS = (4,)
SHORTEST = 4


def trial(config: RunConfig, readings: Readings) -> tuple[Change, ...]:
    """Shorter windows, more of them."""
    return tuple(
        Change(
            f"1/{factor} of the context",
            {"seq_len": config.seq_len // factor, "batch_size": config.batch_size * factor},
        )
        for factor in FACTORS
        if config.seq_len // factor >= SHORTEST
    )


def cannot_be(config: RunConfig, readings: Readings) -> str | None:
    """The context brings something, and its end too."""
    gain, slope = readings.get("context_gain"), readings.get("position_slope")
    if gain is None or slope is None:
        return None
    if gain.value > USED and slope.value > 2 * slope.error:
        return f"all that was read brings {gain.value:.2f} nats, its last half {slope.value:.3f}"
    return None


NEEDED = 0.25
"""Share of the context; a quarter of it is what is tried."""
USED = 0.2
"""Nats from which the context is clearly used; first guess."""

CAUSE = Cause(
    name=name_of(__name__),
    headline="most of the context is not used",
    page=__doc__,
    expects=(
        Expectation(
            "context_gain", None, UNUSED, 0.6, "nats that reading further back brings", outside=1.3
        ),
        Expectation(
            "context_needed",
            None,
            NEEDED,
            0.8,
            "after so much of it nothing is gained",
            outside=1.5,
        ),
    ),
    trial=trial,
    remedy="use a shorter context",
    cannot_be=cannot_be,
    prior=-0.7,
)
