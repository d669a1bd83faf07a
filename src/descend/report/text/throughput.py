"""How long the steps of a run take, as they come: what is left is told by it."""

from __future__ import annotations

from collections.abc import Callable

SETTLING = 3
"""Steps that are left out: the first ones compile, and warm caches up."""


def pace_of_steps(now: Callable[[], float]) -> Callable[[], float | None]:
    """A function to call at every step, which gives the seconds a step by the clock `now`, judging
    and saving with it; None for the first few."""
    steps, since = 0, 0.0

    def another() -> float | None:
        nonlocal steps, since
        steps += 1
        if steps == SETTLING:
            since = now()
        return (now() - since) / (steps - SETTLING) if steps > SETTLING else None

    return another
