"""The numbers ran away: not a number, or an explosion.

What it is:
    A step made the loss or a gradient infinite or not a number, or the loss exploded and did not
    come back. Training went back to the last good state and tried one change after the other; it
    stopped where none helped, or where that was switched off.

How it shows:
    The records hold rescues or end with `diverged`, with the first bad step and place; before it
    the gradient norm rises by orders of magnitude, or clipping works at every step.

Not to be confused:
    A jagged loss alone is no divergence. A single bad batch can do it; then leaving out that
    batch is enough.

Proof:
    The run again from the start with one thing changed at a time: a third of the rate, clipping
    at 1, warmup. Whatever comes past the bad step is the remedy.

Remedy:
    The mildest change that comes past the step with the lowest loss.

When it is not this:
    The records hold no rescue and say that training ended otherwise.

Source:
    Spikes before divergence: arXiv 2501.06842. float16 overflow: Micikevicius et al. 2018.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.doctor.cause import Cause, Change, Expectation, name_of, rates
from descend.doctor.reading import Readings


def trial(config: RunConfig, readings: Readings) -> tuple[Change, ...]:
    """One thing at a time, mildest first."""
    changes = []
    if not 0 < config.gradient_clip <= CLIP:
        changes.append(Change(f"gradients clipped at {CLIP:g}", {"gradient_clip": CLIP}))
    if not config.warmup_steps:
        changes.append(Change("warmup", {"warmup_steps": None, "schedule": _warm(config)}))
    changes += [
        Change(f"1/{1 / factor:.0f} of the learning rate", rates(config, factor))
        for factor in (1 / 3, 1 / 10, 1 / 100)
    ]
    return tuple(changes)


CLIP = 1.0
"""The usual value (Pascanu et al. 2013 and every recipe since)."""


def _warm(config: RunConfig) -> str:
    return config.schedule if config.schedule != "constant" else "wsd"


CAUSE = Cause(
    name=name_of(__name__),
    headline="training diverged",
    page=__doc__,
    expects=(
        Expectation("gradient_spread", 10.0, None, 0.5, "gradients grew by orders of magnitude"),
    ),
    trial=trial,
    remedy="lower the rate, clip gradients, and warm up",
    prior=-3.0,
)
