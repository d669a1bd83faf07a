"""A search as text: the best of it, what decided, what may be claimed, and what to type."""

from __future__ import annotations

from descend.lab.searched import SearchResult, SearchTrial
from descend.lab.sentences import value_word
from descend.report.experiments import AXIS, table
from descend.units import format_duration

NUMBERS = ("bits/byte", "loss", "accuracy", "time")
"""What is said of each trial, behind its values."""

SHOWN = 5
"""Of the best."""


def format_search(found: SearchResult) -> str:
    """`search` in the terminal."""
    keys = [span.key for span in found.space]
    head = ["rank", *keys, *NUMBERS]
    shown = found.ranking[:SHOWN]
    rows = [search_row(n, t, keys) for n, t in enumerate(shown, 1)]
    base = base_of(found)
    if base is not None and base not in shown:
        rows.append(("base", *search_row(0, base, keys)[1:]))
    blocks = [table(head, rows), *([importance_bars(found)] if found.importance else [])]
    return "\n\n".join([*blocks, found.sentence, format_train_command_line(found)])


def search_row(rank: int, tried: SearchTrial, keys: list[str]) -> tuple[str, ...]:
    """A trial as cells: rank, values, bits per byte, loss, accuracy, seconds."""
    named = (str(rank), *(value_word(tried.values[k]) for k in keys))
    if tried.bits_per_byte is None:
        return (*named, *("–" for _ in NUMBERS))
    return (
        *named, f"{tried.bits_per_byte:.3f}", f"{tried.validation_loss or 0.0:.3f}",
        f"{tried.accuracy or 0.0:.1%}", format_duration(tried.seconds or 0.0),
    )  # fmt: skip


def base_of(found: SearchResult) -> SearchTrial | None:
    """The base among what was tried, if it was."""
    return next((t for t in found.trials if t.number == found.base_number), None)


def importance_bars(found: SearchResult) -> str:
    """A bar a key."""
    width = max(len(w.key) for w in found.importance)
    bars = [f"{w.key.ljust(width)}  {w.share:4.0%}  {'█' * round(AXIS * w.share)}"
            for w in found.importance]  # fmt: skip
    return "\n".join(["what decided, by the trials made", *bars])


def format_train_command_line(found: SearchResult) -> str:
    """The command that trains the best one."""
    return f"to train the best one:\n{found.train_command}"
