"""Markup that is taken off in one pass over the text: XML, subtitles, and HTML beyond reason.

A scanner instead of a parser: its time grows with the length alone, however tags are nested, and
it needs no memory but for the text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from itertools import chain, islice, pairwise

from descend.data.document import Document
from descend.data.readers.charset import Blocks, decode_blocks
from descend.data.readers.chunking import document_chunks, split_into_lines
from descend.data.readers.options import DEFAULT_OPTIONS, ReadOptions
from descend.data.readers.records import is_text_value
from descend.errors import CorpusError

# A file is scanned as a whole; beyond this many characters it is hardly a document.
MAX_CHARS = 1 << 28
# What opens something that is no element, what closes it, and whether it is text.
_SPECIAL = (("<!--", "-->", False), ("<![CDATA[", "]]>", True), ("<?", "?>", False))
_TAG_NAME = re.compile(r"</?([A-Za-z_:][\w:.-]{0,99})")
_EMPTY_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_ENTITY_DEFINITION = re.compile(r"<!ENTITY", re.IGNORECASE)
_TIMES = re.compile(r"\s*(?:\d+:)?\d+:\d+[,.]\d+\s*-->.*")
_CUE_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>|\{\\[^{}]{0,200}\}|<\d[\d:.]{0,20}>")
_MAX_CUE_ROWS = 1000
# Captions are rolling if of so many cues at the beginning this fraction repeats the one before.
_CUES_LOOKED_AT, _MIN_CUES, _MIN_ROLLING_FRACTION = 200, 6, 0.6
_CUE_HEADS = ("WEBVTT", "NOTE", "STYLE", "REGION")


def read_xml(
    blocks: Blocks, name: str, options: ReadOptions = DEFAULT_OPTIONS
) -> Iterator[Document]:
    """Yield the text of the elements, without tags, comments and lines of numbers, ids and URLs.

    Raises `CorpusError` on a file that defines entities, which is how XML bombs are made.
    """
    page = whole_text(decode_blocks(blocks, name, options), name, MAX_CHARS)
    if _ENTITY_DEFINITION.search(page, 0, 1 << 16):
        raise CorpusError(name, "entity definitions", "plain XML", "convert it to plain text")
    text = "".join(_xml_pieces(page))
    rows = (line.strip() for line in text.split("\n"))
    text = "\n".join(row for row in rows if not row or is_text_value(row))
    yield from document_chunks((_EMPTY_LINES.sub("\n\n", text).strip("\n") + "\n",), name)


def _xml_pieces(page: str) -> Iterator[str]:
    """Yield texts, with a line end where one element follows another and nothing stands between."""
    closed = False
    for tag, piece in scan_markup(page):
        if tag is None:
            yield piece
            closed = False
        elif piece.startswith("</"):
            closed = True
        elif closed or tag.rpartition(":")[2] in ("br", "lb", "p", "div"):
            yield "\n"


def read_subtitles(
    blocks: Blocks, name: str, options: ReadOptions = DEFAULT_OPTIONS
) -> Iterator[Document]:
    """Yield what is said in SubRip (srt) and WebVTT files: a line each, without numbers and times.

    Of rolling captions, in which a cue shows the last lines of the one before again, each line
    comes once.
    """
    cues = _cues(split_into_lines(decode_blocks(blocks, name, options), name))
    first = list(islice(cues, _CUES_LOOKED_AT))
    cues = chain(first, cues)
    if _are_rolling(first):
        cues = _without_repeats(cues)
    yield from document_chunks((f"{row}\n" for cue in cues for row in cue), name)


def _are_rolling(cues: list[list[str]]) -> bool:
    """Return whether most cues show lines of the one before, as a song or a dialogue does not."""
    repeats = sum(_num_repeated(before, cue) > 0 for before, cue in pairwise(cues))
    return len(cues) >= _MIN_CUES and repeats >= _MIN_ROLLING_FRACTION * (len(cues) - 1)


def _without_repeats(cues: Iterator[list[str]]) -> Iterator[list[str]]:
    before: list[str] = []
    for cue in cues:
        yield cue[_num_repeated(before, cue) :]
        before = cue


def _num_repeated(before: list[str], cue: list[str]) -> int:
    """Return how many of the first rows of a cue are the last ones of the cue before."""
    max_rows = min(len(before), len(cue))
    return next((n for n in range(max_rows, 0, -1) if before[-n:] == cue[:n]), 0)


def _cues(rows: Iterator[str]) -> Iterator[list[str]]:
    """Yield what each cue says, in rows."""
    cue: list[str] = []
    for row in chain(rows, ("",)):
        row = row.strip().lstrip("\ufeff")
        if row and len(cue) < _MAX_CUE_ROWS:
            cue.append(row)
            continue
        if cue and cue[0].split(" ")[0] not in _CUE_HEADS and (said := list(_said(cue))):
            yield said
        cue = [row] if row else []


def _said(cue: list[str]) -> Iterator[str]:
    """Yield the rows of a block but for times, and for the number or name of a cue before them."""
    for row, after in pairwise([*cue, ""]):
        if _TIMES.fullmatch(row) or _TIMES.fullmatch(after):
            continue
        said = unescape(_CUE_TAG.sub("", row)).strip()
        if said:
            yield said


def whole_text(pieces: Iterator[str], name: str, max_bytes: int) -> str:
    """Return the joined pieces; raises `CorpusError` beyond `max_bytes` characters."""
    chunks: list[str] = []
    length = 0
    for piece in pieces:
        chunks.append(piece)
        length += len(piece)
        if length > max_bytes:
            raise CorpusError(
                name, f"a page of over {max_bytes:,} characters", "a smaller one",
                "split it, or convert it to plain text",
            )  # fmt: skip
    return "".join(chunks)


def scan_markup(page: str) -> Iterator[tuple[str | None, str]]:
    """Tags as (name in small letters, the whole tag) and texts as (None, text), in order."""
    at = 0
    missing: set[str] = set()  # ends that do not come any more: looked for once
    while at < len(page):
        tag = page.find("<", at)
        if tag < 0:
            tag = len(page)
        if tag > at:
            yield None, unescape(page[at:tag])
        if tag == len(page):
            return
        at = tag
        for begin, end, is_text in _SPECIAL:
            if page.startswith(begin, at) and end not in missing:
                stop = page.find(end, at + len(begin))
                if stop < 0:
                    missing.add(end)
                    continue
                if is_text:
                    yield None, page[at + len(begin) : stop]
                at = stop + len(end)
                break
        if at > tag:
            continue
        match = _TAG_NAME.match(page, at)
        stop = -1 if ">" in missing else page.find(">", at)
        if stop < 0:
            missing.add(">")
        if stop < 0 or (match is None and not page.startswith("<!", at)):
            yield None, "<"
            at += 1
            continue
        if match is not None:
            yield match.group(1).lower(), page[at : stop + 1]
        at = stop + 1


def unescape(text: str) -> str:
    """Entities as the characters they stand for; as they are if one is beyond all characters."""
    try:
        return html.unescape(text) if "&" in text else text
    except (ValueError, OverflowError):
        return text
