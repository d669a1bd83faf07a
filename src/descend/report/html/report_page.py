"""What a report is made of: sections of blocks, as plain frozen data.

A section (`sections/`) turns records into these; `rendering` turns these into a file. Nothing here
knows of HTML, so every section can be tested by reading what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Paragraph:
    """Plain words; `quiet` for what qualifies the rest."""

    text: str
    is_secondary: bool = False
    kind: Literal["paragraph"] = "paragraph"


@dataclass(frozen=True)
class Fact:
    """A number one wants to see first: `3.42`, with its unit below it."""

    name: str
    value: str
    unit: str = ""


@dataclass(frozen=True)
class Facts:
    """A row of facts."""

    facts: tuple[Fact, ...]
    kind: Literal["facts"] = "facts"


@dataclass(frozen=True)
class TableColumn:
    """A column of a table; numbers stand flush right, in figures of equal width."""

    name: str
    numeric: bool = True


def word_columns(*names: str) -> tuple[TableColumn, ...]:
    """Return a column of words for each name."""
    return tuple(TableColumn(name, numeric=False) for name in names)


def number_columns(*names: str) -> tuple[TableColumn, ...]:
    """Return a column of numbers for each name."""
    return tuple(map(TableColumn, names))


PROSE_SPACES = 4
"""Spaces from which a cell is a sentence rather than a value."""


@dataclass(frozen=True)
class ReportTable:
    """Rows of cells, written out; `strong` rows are set apart, `folded` tables open on demand."""

    caption: str
    columns: tuple[TableColumn, ...]
    rows: tuple[tuple[str, ...], ...]
    strong: frozenset[int] = frozenset()
    folded: bool = False
    kind: Literal["table"] = "table"

    @property
    def has_prose(self) -> bool:
        """Whether a cell holds a sentence: on a telephone such a row becomes a list."""
        return any(cell.count(" ") >= PROSE_SPACES for row in self.rows for cell in row[1:])


@dataclass(frozen=True)
class Figure:
    """A picture as a dict of ECharts options (`figures`).

    `label` is what a screen reader says in its place; the numbers stand in a table nearby.
    With `choices`, options by name, of which the reader picks one; `option` is the first.
    """

    title: str
    label: str
    option: dict[str, Any]
    choices: dict[str, dict[str, Any]] = field(default_factory=dict)
    height: int = 300
    """In CSS pixels."""
    square: bool = False
    kind: Literal["figure"] = "figure"


@dataclass(frozen=True)
class TextSample:
    """Text that the model wrote after `prompt`, and when."""

    when: str
    prompt: str
    text: str


@dataclass(frozen=True)
class TextSamples:
    """Samples in order."""

    samples: tuple[TextSample, ...]
    kind: Literal["samples"] = "samples"


@dataclass(frozen=True)
class ShadedToken:
    """A token of a passage: `level` 0 (foreseen) to `LEVELS` - 1 (surprise), with a hint."""

    text: str
    level: int
    hint: str


LEVELS = 7
"""Shades of surprise: as many as can be distinguished beside each other."""


@dataclass(frozen=True)
class ShadedText:
    """Text in shades."""

    tokens: tuple[ShadedToken, ...]
    kind: Literal["shaded_text"] = "shaded_text"


@dataclass(frozen=True)
class ShadeLegend:
    """What each level of the passages above it means."""

    levels: tuple[str, ...]
    kind: Literal["legend"] = "legend"


@dataclass(frozen=True)
class Picture:
    """A small picture as a data: address, seen without any script."""

    caption: str
    address: str
    alternative: str


@dataclass(frozen=True)
class Pictures:
    """Small pictures side by side, for comparing."""

    pictures: tuple[Picture, ...]
    columns: int
    kind: Literal["pictures"] = "pictures"


@dataclass(frozen=True)
class Command:
    """What to type."""

    text: str
    kind: Literal["command"] = "command"


@dataclass(frozen=True)
class Details:
    """Blocks that open on demand."""

    title: str
    blocks: tuple[ReportBlock, ...]
    kind: Literal["details"] = "details"


ReportBlock = (
    Paragraph
    | Facts
    | ReportTable
    | Figure
    | TextSamples
    | ShadedText
    | ShadeLegend
    | Pictures
    | Command
    | Details
)


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; `name` is its anchor.

    With `teaser`, a line on what is in it, the section is folded and opens on demand.
    """

    name: str
    title: str
    blocks: tuple[ReportBlock, ...]
    teaser: str = ""


@dataclass(frozen=True)
class ReportPage:
    """A whole report."""

    title: str
    subtitle: str
    lead: tuple[str, ...]
    """Paragraphs in large type: how good it is, what that means, and what to do next."""
    facts: Facts
    sections: tuple[Section, ...]
    made_by: str
    warnings: tuple[str, ...] = ()
    """What could not be shown, and why."""
    figure: Figure | None = None
    """The one picture that belongs on the first screen."""

    def blocks(self) -> list[ReportBlock]:
        """Return every block in order, also those that are folded."""
        top = [self.figure] if self.figure else []
        return [*top, *_flatten(b for section in self.sections for b in section.blocks)]

    def figures(self) -> list[Figure]:
        """Return all of them, in order."""
        return [block for block in self.blocks() if isinstance(block, Figure)]


def _flatten(blocks: Iterable[ReportBlock]) -> Iterator[ReportBlock]:
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from _flatten(block.blocks)
