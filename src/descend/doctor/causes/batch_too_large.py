"""The batch is too large.

What it is:
    Each step averages far more text than it needs, so that the text is used up in too few
    steps.

How it shows:
    Few steps; the noise scale is under a batch; a step could be longer.

Not to be confused:
    A low rate also wants longer steps; there the same number of steps at a higher rate helps as
    much.

Proof:
    A quarter of the batch at the same rate, equal tokens, so four times the steps.

Remedy:
    The smaller batch.

When it is not this:
    A quarter of the batch ends no lower.

Source:
    McCandlish et al. 2018; arXiv 2507.07101.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.doctor.cause import Cause, Change, Expectation, name_of
from descend.doctor.reading import Readings

FEW_STEPS = 500.0
"""Steps of a whole run that are few; first guess."""
QUIET = 2.0
"""Noise scale in batches under which averaging more is waste; first guess."""
FACTORS = (4, 16)


def trial(config: RunConfig, readings: Readings) -> tuple[Change, ...]:
    """Smaller batches at the same rate."""
    return tuple(
        Change(
            f"1/{factor} of the batch",
            {
                "batch_size": config.batch_size // factor,
                "gradient_accumulation": min(
                    config.gradient_accumulation, config.batch_size // factor
                ),
            },
        )
        for factor in FACTORS
        if config.batch_size >= factor
    )


def cannot_be(config: RunConfig, readings: Readings) -> str | None:
    """A batch of few sequences has no quarter."""
    if config.batch_size < FACTORS[0]:
        return f"a batch of {config.batch_size} sequences cannot be much smaller"
    return None


CAUSE = Cause(
    name=name_of(__name__),
    headline="the batch is too large: the text is used up in too few steps",
    page=__doc__,
    expects=(
        Expectation("steps", None, FEW_STEPS, 1.2, "updates in the whole run", outside=1.5),
        Expectation(
            "noise_scale", None, QUIET, 0.8, "a batch averages more than it needs", outside=1.1
        ),
        Expectation("multiplier_fresh", 2.0, None, 0.4, "steps could be longer", outside=0.5),
    ),
    trial=trial,
    remedy="use a smaller batch",
    cannot_be=cannot_be,
    prior=-0.3,
)
