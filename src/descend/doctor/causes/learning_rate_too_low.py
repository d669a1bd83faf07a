"""The learning rate is too low.

What it is:
    Every step goes in a good direction and stops far too soon, so that the run ends before it
    has come anywhere near what the same number of steps could reach.

How it shows:
    The loss falls smoothly and is still falling at the end. A step could be many times as long
    before the loss rises; weights move by much less than a thousandth of their size a step.

Not to be confused:
    A model that is too small also ends high, but there a longer step makes the loss rise. A run
    that is only too short has steps of a sensible size.

Proof:
    The same run at three, ten, thirty times the rate: equal seed, data order, tokens and
    evaluation. The rate is too low if a higher one ends lower by more than the spread between
    seeds.

Remedy:
    The best rate of the trial. Where there was no warmup, a short one: a high rate is dangerous
    only in the first steps.

When it is not this:
    The multiplier is near 1, gradients are clipped at most steps, or three times the rate ends
    no lower.

Source:
    Critical sharpness: arXiv 2601.16979. Update to weight near 0.001: Karpathy, makemore part
    3.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.doctor.cause import Cause, Change, Expectation, name_of, rates
from descend.doctor.reading import Readings, value

LONG_STEP = 5.0
"""Multiplier from which a step is much too short. Origin: prototype (tiny Shakespeare): rates 3, 10
and 30 times too low read 5, 40 and 400; healthy ones 0.5 to 2.5."""
VERY_LONG_STEP = 30.0
"""From here on the first rate tried is ten times as high; same origin."""
SMALL_UPDATE = 0.002
"""Update to weight a step; same origin: 0.0019 at a tenth of the rate, 0.0097 when healthy."""
FACTORS = (3.0, 10.0, 30.0)


def trial(config: RunConfig, readings: Readings) -> tuple[Change, ...]:
    """Higher rates, from where the multiplier points to."""
    first = 1 if value(readings, "multiplier_fresh") >= VERY_LONG_STEP else 0
    return tuple(
        Change(f"{factor:g} times the learning rate", rates(config, factor))
        for factor in FACTORS[first:]
    )


CAUSE = Cause(
    name=name_of(__name__),
    headline="the learning rate is too low",
    page=__doc__,
    expects=(
        Expectation(
            "multiplier_fresh", LONG_STEP, None, 2.8,
            "a step could be so many times longer before the loss on fresh text would rise",
            outside=2.7,
        ),
        Expectation(
            "update_ratio", None, SMALL_UPDATE, 1.0, "weights hardly move a step", outside=0.8
        ),
    ),
    trial=trial,
    asked=True,
    remedy="raise the learning rate",
    prior=1.6,
)  # fmt: skip
