"""The lines of a log, thinned while they are read: a large log costs no memory.

Lines that differ in nothing but their numbers are of one template. Of a template with many lines
every second, fourth, … is read, so that rare lines (evaluations, a loss that is `nan`) all are.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_OF_A_TEMPLATE = 20_000
"""Lines of one template that are read at one stride; then the stride doubles."""
MOST_TEMPLATES = 20_000
LONGEST_LINE = 2**16
BLOCK = 2**20
_DELETED = b"0123456789.,+- \t#=>" + bytes(range(128, 256))
_CONTROL = re.compile(
    rb"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-9;?]*[A-Za-z]|\[\d{1,3}(?:;\d{1,3})*m"
)
"""Colors and movements of the cursor; the last also where the escape itself was lost."""
_REDRAW = re.compile(rb"[\r\x08]+")
"""A line is drawn over by going back to its beginning, or back by so many characters."""


@dataclass(slots=True)
class Template:
    """Lines that differ in their numbers only."""

    count: int = 0
    stride: int = 1
    at_stride: int = 0
    skipped: bytes | None = None
    skipped_at: int = 0


@dataclass(slots=True)
class Line:
    """A line as text, the how many-th of its template; `last`: the last one of a thinned one."""

    text: str
    ordinal: int
    template: Template
    last: bool = False

    @property
    def stays(self) -> bool:
        """Whether it belongs to an even thinning, now that all lines are read."""
        return self.last or self.ordinal % self.template.stride == 0


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of the file at `path`, without colors, thinned."""
    return thin_lines(_clean(_raw_lines(path)))


def thin_lines(lines: Iterable[bytes]) -> Iterator[Line]:
    """Of each template as many of `lines` as a curve needs."""
    templates: dict[bytes, Template] = {}
    for index, raw in enumerate(lines):
        key = raw.translate(None, _DELETED)[:256]
        template = templates.get(key)
        if template is None:
            if len(templates) >= MOST_TEMPLATES:
                key = key[:4]
            template = templates.setdefault(key, Template())
        ordinal = template.count
        template.count += 1
        if ordinal % template.stride:
            template.skipped, template.skipped_at = raw, index
            continue
        template.skipped = None
        template.at_stride += 1
        if template.at_stride >= MOST_OF_A_TEMPLATE:
            template.at_stride //= 2
            template.stride *= 2
        yield Line(raw.decode("utf-8", "replace"), ordinal, template)
    ends = [t for t in templates.values() if t.skipped is not None]
    for template in sorted(ends, key=lambda t: t.skipped_at):
        text = (template.skipped or b"").decode("utf-8", "replace")
        yield Line(text, template.count - 1, template, last=True)


def _raw_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # what PowerShell's > writes
        with path.open(encoding="utf-16", errors="replace", newline="\n") as text:
            for line in text:
                yield line.rstrip("\n").encode("utf-8", "replace")
        return
    rest = b""
    with path.open("rb") as file:
        file.seek(3 if start.startswith(codecs.BOM_UTF8) else 0)
        while block := file.read(BLOCK):
            *whole, rest = (rest + block).split(b"\n")
            yield from whole
            if len(rest) > BLOCK:  # no line end for long: bars drawn over themselves
                cut = max(rest.rfind(b"\r"), rest.rfind(b"}")) + 1 or len(rest)
                yield rest[:cut]
                rest = rest[cut:]
    yield rest


def _clean(lines: Iterable[bytes]) -> Iterator[bytes]:
    for line in lines:
        if b"\x1b" in line or b"[0m" in line or b"[3" in line:
            line = _CONTROL.sub(b"", line)
        if b"\r" in line or b"\x08" in line:
            yield from (part[:LONGEST_LINE] for part in _REDRAW.split(line) if part)
        else:
            yield line[:LONGEST_LINE]
