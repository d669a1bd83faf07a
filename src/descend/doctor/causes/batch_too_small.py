"""The batch is too small.

What it is:
    Each step follows so few tokens that it is mostly noise, and the noise does not average out
    within the run.

How it shows:
    A step can be far longer on its own batch than on fresh text; the gradient noise scale is
    many batches; the loss is jagged.

Not to be confused:
    A rate that is too high gives the same picture, and a lower rate or a falling one is the
    cheaper cure. At equal tokens a smaller batch is often better, since it makes more steps:
    the textbook is wrong as often as right.

Proof:
    Four times the batch at twice the rate, equal tokens, so a quarter of the steps.

Remedy:
    The larger batch with its rate.

When it is not this:
    Four times the batch ends no lower at equal tokens.

Source:
    McCandlish et al. 2018; against it at small scale: arXiv 2507.07101, where batch 1 trains as
    well.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.doctor.cause import Cause, Change, Expectation, name_of, rates
from descend.doctor.reading import Readings, value

NOISY = 20.0
"""Noise scale in batches; first guess: a larger batch pays up to about the noise scale."""
FACTORS = (4, 16)


def trial(config: RunConfig, readings: Readings) -> tuple[Change, ...]:
    """Larger batches, the rate with the square root of the batch (Malladi et al. 2022)."""
    return tuple(
        Change(
            f"{factor} times the batch",
            {"batch_size": config.batch_size * factor} | rates(config, factor**0.5),
        )
        for factor in FACTORS
    )


def cannot_be(config: RunConfig, readings: Readings) -> str | None:
    """With a handful of steps a larger batch would leave none."""
    steps = value(readings, "steps", 1e9)
    if steps < FEWEST_STEPS:
        return f"the run has only {steps:.0f} steps; a larger batch would leave fewer"
    return None


FEWEST_STEPS = 200
"""Under so many steps, fewer of them always hurt more than quieter ones help; first guess."""

CAUSE = Cause(
    name=name_of(__name__),
    headline="the batch is too small",
    page=__doc__,
    expects=(
        Expectation(
            "noise_scale", NOISY, None, 0.5, "noise drowns the gradient of a batch", outside=0.8
        ),
        Expectation(
            "multiplier_fresh", None, 2.0, 0.0, "a step is long for fresh text", outside=0.1
        ),
        Expectation("steps", 2000.0, None, 0.5, "there are steps to spare", outside=0.9),
    ),
    trial=trial,
    asked=True,
    remedy="use a larger batch with a higher rate",
    cannot_be=cannot_be,
    prior=-0.4,
)
