"""It began in a bad place.

What it is:
    The first weights are so large, so small or so alike that training has to repair them first.

How it shows:
    The first loss is far above ln V, the loss of guessing; or the run went on from a model that
    was no good start: most units of a block, say, silent whatever they are given.

Not to be confused:
    A high loss after many steps says nothing about the start. Only the first step tells.

Proof:
    The same run from fresh weights.

Remedy:
    Start from fresh weights: `descend train` instead of `continue`.

When it is not this:
    The first loss is near ln V and the run began from fresh weights.

Source:
    Karpathy, A recipe for training neural networks (2019); Glorot and Bengio 2010; Lu et al.
    2019, Dying ReLU and initialization.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.doctor.cause import Cause, Change, Expectation, name_of
from descend.doctor.reading import Readings, value


def trial(config: RunConfig, readings: Readings) -> tuple[Change, ...]:
    """No setting to try: it is measured."""
    return ()


MOSTLY_DEAD = 0.5
"""Share of a block's feed-forward units that are silent whatever it reads; none are in a sound
network (benchmarks/results/doctor/inside.json)."""
FAR_OFF = 1.3
"""First loss over ln V; first guess: normal starts read 1.0, a head ten times too large over 2."""


def measured(readings: Readings) -> float:
    """How far above guessing the run began, in units of ln V."""
    found = value(readings, "loss_at_start")
    return found - 1.0 if found >= FAR_OFF else 0.0


CAUSE = Cause(
    name=name_of(__name__),
    headline="it began from bad weights",
    page=__doc__,
    expects=(
        Expectation("loss_at_start", 1.3, None, 3.0, "of ln V at the first step"),
        Expectation("dead_units", MOSTLY_DEAD, None, 1.5, "never speak", outside=0.0),
    ),
    trial=trial,
    remedy="start from fresh weights",
    measured=measured,
    prior=-3.0,
)
