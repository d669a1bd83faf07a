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

MAX_LINES_PER_TEMPLATE = 8_000
"""Lines of one template that are read at one stride; then the stride doubles."""
MAX_TEMPLATES = 20_000
MAX_LINE_CHARS = 2**16
MAX_KEY_CHARS = 512
BLOCK = 2**20
_DELETED = b"0123456789.,+- \t#=>\xe2" + bytes(range(128, 192))
"""Beside numbers the blocks of progress bars; of letters beyond ASCII their first bytes remain."""
_CONTROL = re.compile(
    rb"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-9;?]*[A-Za-z]|\[\d{1,3}(?:;\d{1,3})*m"
)
"""Colors and movements of the cursor; the last also where the escape itself was lost."""
_COLORED = (b"\x1b", b"[0m", b"[39m")
_NOT_PLAIN = (*_COLORED, b"\r", b"\x08")
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
    """Return the lines of the file at `path`, without colors, thinned."""
    return thin_lines(_blocks(path), _code_page(path))


def text_lines(text: str) -> Iterator[Line]:
    """Return the lines of `text`, without colors, thinned."""
    return thin_lines([_clean(text.encode("utf-8", "replace").split(b"\n"))])


def thin_lines(blocks: Iterable[list[bytes]], code_page: str = "utf-8") -> Iterator[Line]:
    """Of each template as many of the lines in `blocks` as a curve needs.

    `code_page`: the encoding of lines that are not UTF-8.
    """
    templates: dict[bytes, Template] = {}
    find, deleted = templates.get, _DELETED
    yielded_at = 0
    for number, lines in enumerate(blocks):
        for index, raw in enumerate(
            lines, number << 24
        ):  # some millions of times: nothing here that is not needed
            key = raw.translate(None, deleted)
            template = find(key)
            if template is None:
                if len(key) > MAX_KEY_CHARS or len(templates) >= MAX_TEMPLATES:
                    key = key[: MAX_KEY_CHARS if len(templates) < MAX_TEMPLATES else 4]
                template = templates.setdefault(key, Template())
            ordinal = template.count
            template.count = ordinal + 1
            if ordinal % template.stride:
                template.skipped = raw
                template.skipped_at = index
                continue
            template.skipped = None
            template.at_stride += 1
            if template.at_stride >= MAX_LINES_PER_TEMPLATE:
                template.at_stride //= 2
                template.stride *= 2
            yielded_at = index
            yield Line(_decoded(raw, code_page), ordinal, template)
    # The end of the run, where nothing that was read stands after it.
    ends = [t for t in templates.values() if t.skipped and t.skipped_at > yielded_at]
    for template in sorted(ends, key=lambda t: t.skipped_at):
        text = _decoded(template.skipped or b"", code_page)
        yield Line(text, template.count - 1, template, last=True)


def _decoded(raw: bytes, code_page: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode(code_page, "replace")


def _code_page(path: Path) -> str:
    """Return the encoding of the lines at the beginning of a file that are not UTF-8."""
    with path.open("rb") as file:
        start = file.read(BLOCK)
    if start.isascii() or b"\0" in start[:64]:
        return "utf-8"
    from descend.data.readers.charset import foreign_sample
    from descend.data.readers.codepages import rank_code_pages

    sample = foreign_sample(lambda: iter((start[: start.rfind(b"\n") + 1] or start,)))
    return (rank_code_pages(sample).best or "cp1252") if sample else "utf-8"


def _blocks(path: Path) -> Iterator[list[bytes]]:
    """Yield the lines of the file, without colors, a block of the file after the other."""
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # what PowerShell's > writes
        with path.open(encoding="utf-16", errors="replace", newline="\n") as text:
            for line in text:
                yield _clean([line.rstrip("\n").encode("utf-8", "replace")])
        return
    rest = b""
    with path.open("rb") as file:
        file.seek(3 if start.startswith(codecs.BOM_UTF8) else 0)
        while block := file.read(BLOCK):
            if not block.strip(b"\0"):  # a hole that a crash or a rotated log left
                continue
            text_block = rest + block
            *lines, rest = text_block.split(b"\n")
            if len(rest) > BLOCK:  # no line end for long: bars drawn over themselves
                cut = max(rest.rfind(b"\r"), rest.rfind(b"}")) + 1 or len(rest)
                lines.append(rest[:cut])
                rest = rest[cut:]
            plain = len(max(lines, key=len, default=b"")) <= MAX_LINE_CHARS
            plain = plain and not any(sign in text_block for sign in _NOT_PLAIN)
            yield lines if plain else _clean(lines)
    yield _clean([rest])


def _clean(lines: list[bytes]) -> list[bytes]:
    """Return `lines` without colors, those that are drawn over themselves one by one."""
    clean: list[bytes] = []
    for line in lines:
        if any(sign in line for sign in _COLORED):
            line = _CONTROL.sub(b"", line)
        if b"\r" in line or b"\x08" in line:
            parts = _REDRAW.split(line) if b"\x08" in line else line.split(b"\r")
            is_short = len(max(parts, key=len)) <= MAX_LINE_CHARS
            clean += filter(None, parts if is_short else [p[:MAX_LINE_CHARS] for p in parts])
        else:
            clean.append(line[:MAX_LINE_CHARS])
    return clean
