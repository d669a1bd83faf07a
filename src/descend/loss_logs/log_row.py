"""What one line, one object or one line of a table holds, with names resolved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from descend.loss_logs.column_names import Meaning, Split
from descend.loss_logs.log_lines import Line
from descend.loss_logs.number_parsing import MAX_LOSS, loss_of, place_of


@dataclass(slots=True)
class Row:
    """Numbers of one place. `own_place`: whether it names a step itself."""

    losses: list[tuple[Meaning, Split | None, str, float]] = field(default_factory=list)
    """Meaning, split, the word that names the split in this line, value."""
    perplexities: list[tuple[Split | None, float]] = field(default_factory=list)
    step: float | None = None
    total: float | None = None
    is_counted_to_total: bool = False
    """Whether a counter of the line tells its total, as `200 / 1102`."""
    counter: str = ""
    other_steps: tuple[tuple[str, float], ...] = ()
    """Further counters of the line with their values, the likeliest first."""
    writer: str = ""
    """Which of several processes wrote the line, where the log tells."""
    epoch: float | None = None
    rate: float | None = None
    gradient_norm: float | None = None
    accuracy: float | None = None
    """From 0 to 1, of training where both are there."""
    has_lost_validation: bool = False
    """Whether it names a validation loss that is no number, beside losses that are."""
    measures: list[tuple[Meaning, float]] = field(default_factory=list)
    """Numbers of reinforcement learning."""
    bar: bool = False
    """A progress bar, which shows old values again."""
    structured: bool = False
    """Of an object or a table, whose rows may stand in any order."""
    line: Line | None = None

    @property
    def other_counters(self) -> tuple[str, ...]:
        """The names of the further counters."""
        return tuple(name for name, _ in self.other_steps)

    @property
    def training(self) -> list[float]:
        """The losses that are not of validation."""
        return [value for _, split, _, value in self.losses if split != "validation"]


Pair = tuple[Meaning, float, float | None, str]
"""Meaning, value, what it counts up to, the split's word that stands before it in the line."""


def row_of(pairs: Iterable[Pair], line: Line | None = None) -> Row:
    """Return the row that named numbers make."""
    row = Row(line=line)
    steps: list[tuple[int, str, float, float | None]] = []
    bare: list[tuple[Meaning, float]] = []
    best_rate = best_norm = best_accuracy = 99
    for meaning, value, total, word in pairs:
        if meaning.role == "loss":
            split = meaning.split or split_named(word)
            row.losses.append((meaning, split, word, loss_of(value)))
        elif meaning.role == "split":
            bare.append((meaning, value))
        elif meaning.role == "perplexity":
            row.perplexities.append((meaning.split or split_named(word), value))
        elif meaning.role == "step":
            if place_of(value) is not None:
                steps.append((meaning.rank, meaning.name, value, total))
        elif meaning.role == "epoch":
            row.epoch = place_of(value) if row.epoch is None else row.epoch
        elif meaning.role == "rate":
            if meaning.rank < best_rate and value >= 0:
                row.rate, best_rate = min(value, MAX_LOSS), meaning.rank
        elif meaning.role == "accuracy":
            if meaning.rank < best_accuracy and 0 <= value <= 1:
                row.accuracy, best_accuracy = value, meaning.rank
        elif meaning.role in ("reward", "policy_kl", "timesteps", "margin"):
            row.measures.append((meaning, value))
        elif meaning.rank < best_norm:
            row.gradient_norm, best_norm = value, meaning.rank
    if bare and (row.losses or len({m.split for m, _ in bare}) > 1):
        taken = {split for _, split, _, _ in row.losses}
        row.losses += [(m, m.split, "", loss_of(v)) for m, v in bare if m.split not in taken]
    if steps:
        steps.sort(key=lambda s: s[0])
        _, row.counter, row.step, row.total = steps[0]
        row.other_steps = tuple((name, value) for _, name, value, _ in steps[1:])
        row.is_counted_to_total = any(total is not None for *_, total in steps)
    return row


def split_named(word: str) -> Split | None:
    """Return the split that a word which stands in front of a line names."""
    if not word:
        return None
    return "train" if word.startswith("tr") else "validation"
