"""Which function speaks on which page, and the sentence that every setting has."""

from __future__ import annotations

from collections.abc import Callable

from descend.handbook.facts import word
from descend.handbook.yours.record import RunRecord
from descend.handbook.yours.steps import learning_rate, updates

TOPICS: dict[str, Callable[[RunRecord], str]] = {
    "learning_rate": learning_rate,
    "batch_size": updates,
}


def setting(key: str, run: RunRecord) -> str:
    """The value that the run used, and whether it was asked for or left open."""
    used = getattr(run.config, key)
    if used is None:
        return f"Your run left `{key}` open."
    chosen = run.info.config.get(key) is None
    return f"Your run used `{key}` {word(used)}" + (", chosen by descend." if chosen else ".")
