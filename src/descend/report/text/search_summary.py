"""A search as text: the best of it, what decided, what may be claimed, and what to type."""

from __future__ import annotations

from descend.experiments.search.search_result import SearchResult, SearchTrial
from descend.report.text.experiment_summary import format_value
from descend.report.text.experiment_tables import (
    AXIS,
    accuracy_column_name,
    divided_table,
    format_accuracy,
)
from descend.units import format_duration

MAX_LISTED_TRIALS = 5
"""Of the best."""


def format_search(result: SearchResult) -> str:
    """Return `search` in the terminal."""
    keys = [span.key for span in result.space]
    best_trials = result.ranking[:MAX_LISTED_TRIALS]
    rows = [search_row(n, t, keys) for n, t in enumerate(best_trials, 1)]
    base = base_of(result)
    if base is not None and base not in best_trials:
        rows.append(("base", *search_row(0, base, keys)[1:]))
    blocks = [
        divided_table(search_head("rank", result), rows),
        *([importance_bars(result)] if result.importance else []),
    ]
    return "\n\n".join([*blocks, result.sentence, format_train_command_line(result)])


def search_head(first: str, result: SearchResult) -> tuple[str, ...]:
    """Return the headings above cells of `search_row`; `first` is that of the rank."""
    accuracy = accuracy_column_name(t.bigram_accuracy for t in result.trials)
    return (first, *(span.key for span in result.space), "bits/byte", "loss", accuracy, "time")


def search_row(rank: int, tried: SearchTrial, keys: list[str]) -> tuple[str, ...]:
    """Return a trial as cells: rank, values, bits per byte, loss, accuracy, seconds."""
    named = (str(rank), *(format_value(tried.values[k]) for k in keys))
    if tried.bits_per_byte is None:
        return (*named, "–", "–", "–", "–")
    return (
        *named, f"{tried.bits_per_byte:.3f}", f"{tried.validation_loss or 0.0:.3f}",
        format_accuracy(tried.accuracy or 0.0, tried.bigram_accuracy),
        format_duration(tried.seconds or 0.0),
    )  # fmt: skip


def base_of(result: SearchResult) -> SearchTrial | None:
    """Return the base among what was tried, if it was."""
    return next((t for t in result.trials if t.number == result.base_number), None)


def importance_bars(result: SearchResult) -> str:
    """Return a bar a key."""
    width = max(len(w.key) for w in result.importance)
    bars = [f"{w.key.ljust(width)}  {w.fraction:4.0%}  {'█' * round(AXIS * w.fraction)}"
            for w in result.importance]  # fmt: skip
    return "\n".join(["importance of each key in these trials", *bars])


def format_train_command_line(result: SearchResult) -> str:
    """Return the command that trains the best one."""
    return f"Train the best configuration:\n{result.train_command}"
