"""The context is too short.

What it is:
    The model reads fewer tokens than the text refers back to.

How it shows:
    The loss still falls with every token read, right up to the end of the window; or tokens
    further back than the window tell of the next one, which counting pairs of tokens shows.

Not to be confused:
    With little training a longer context hurts: what stands far back has not been learned to be
    used yet, and there are fewer sequences to a batch.

Proof:
    Four times the context and a quarter of the batch, so that a step has as many tokens, judged
    on the same held-out tokens.

Remedy:
    The longer context.

When it is not this:
    The last doubling of the window brought nothing, or the longer context ends no lower.

Source:
    Contextwise loss: arXiv 2502.01481.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.doctor.cause import Cause, Change, Expectation, name_of
from descend.doctor.reading import Readings, value

STILL_FALLING = 0.02
"""Nats won by the last doubling of the context (diagnosis notes; first guess)."""
SHORT = 32
"""Tokens under which a flat end rules nothing out. Origin: letters that repeat the one twelve back,
read in windows of four: the loss is flat at the window's end, since what helps lies beyond it. Of
text, most of what a context brings lies within some ten words."""
TELLING = 0.03
"""Nats that one token alone tells of another. Origin: books in pieces read 0.01 beyond 16 tokens,
letters that repeat the one five back 0.92 there."""
FACTORS = (4, 16)


def trial(config: RunConfig, readings: Readings) -> tuple[Change, ...]:
    """Longer windows, fewer of them."""
    return tuple(
        Change(
            f"{factor} times the context",
            {
                "seq_len": config.seq_len * factor,
                "max_seq_len": max(config.max_seq_len, config.seq_len * factor),
                "batch_size": max(1, config.batch_size // factor),
                "gradient_accumulation": 1,
            },
        )
        for factor in FACTORS
        if config.seq_len * factor * LEAST_WINDOWS < value(readings, "train_tokens", 1e12)
        and config.seq_len * factor < value(readings, "validation_tokens", 1e12)
    )


LEAST_WINDOWS = 8
"""A longer window must still fit the text so many times."""


def cannot_be(config: RunConfig, readings: Readings) -> str | None:
    """A flat end of the loss by position, in a window long enough to show what lies beyond it."""
    slope = readings.get("position_slope")
    if config.seq_len < SHORT or slope is None:
        return None
    if slope.value + 2 * slope.error < STILL_FALLING / 2:
        return (
            f"the last doubling of the context lowers the loss by {slope.value:.3f} nats "
            f"(standard error {slope.error:.3f}): further back there is nothing to find"
        )
    return None


CAUSE = Cause(
    name=name_of(__name__),
    headline="the context is too short",
    page=__doc__,
    expects=(
        Expectation(
            "position_slope",
            STILL_FALLING,
            None,
            0.2,
            "the loss still falls at the window's end",
            outside=0.7,
        ),
        Expectation(
            "information_beyond",
            TELLING,
            None,
            2.0,
            "a token further back than the window tells",
            outside=0.0,
        ),
    ),
    trial=trial,
    asked=True,
    remedy="read more tokens at once",
    cannot_be=cannot_be,
)
