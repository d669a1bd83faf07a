"""What a report is made of: sections of blocks, as plain frozen data.

A part of the report (`parts/`) turns records into these; `html` turns these into a file. Nothing
here knows of HTML, so every part can be tested by reading what it says.
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class ReportTable:
    """Rows of cells, written out; `strong` rows are set apart, `folded` tables open on demand."""

    caption: str
    columns: tuple[TableColumn, ...]
    rows: tuple[tuple[str, ...], ...]
    strong: frozenset[int] = frozenset()
    folded: bool = False
    kind: Literal["table"] = "table"


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
"""Shades of surprise: as many as can be told apart beside each other."""


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
)


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; `name` is its anchor."""

    name: str
    title: str
    blocks: tuple[ReportBlock, ...]


@dataclass(frozen=True)
class ReportPage:
    """A whole report."""

    title: str
    subtitle: str
    lead: tuple[str, ...]
    """Paragraphs in large type: the outcome in plain words."""
    facts: Facts
    sections: tuple[Section, ...]
    made_by: str
    warnings: tuple[str, ...] = ()
    """What could not be shown, and why."""

    def figures(self) -> list[Figure]:
        """All of them, in order."""
        return [b for s in self.sections for b in s.blocks if isinstance(b, Figure)]
