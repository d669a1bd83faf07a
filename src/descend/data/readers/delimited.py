"""CSV and TSV: one row, one document, made of the columns that hold text."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from descend.data.document import Document
from descend.data.readers.charset import Blocks, decode_blocks
from descend.data.readers.chats import conversation_text
from descend.data.readers.chunking import MAX_LINE_CHARS, document_chunks, split_into_lines
from descend.data.readers.options import DEFAULT_OPTIONS, ReadOptions
from descend.data.readers.records import (
    TEXT_KEYS,
    is_text_value,
    log_columns,
    no_such_column,
    record_documents,
)
from descend.errors import CorpusError

# As many rows are looked at to find out which columns hold text.
SAMPLE_ROWS = 200
# A column whose cells are this long on average, in characters, holds text, not labels.
TEXT_CHARS = 20
# Of so many cells or more beside numbers, so few different ones are labels.
MIN_LABELS, MAX_LABEL_FRACTION = 20, 0.2
_NUMBER_WORDS = frozenset(
    ("nan", "inf", "+inf", "-inf", "na", "n/a", "null", "none", "true", "false")
)

_NUMBER = re.compile(r"[-+]?[\d.,:/ eE%-]*")
_TITLE = re.compile(r"[^\W\d][\w ()/-]{0,39}")


def read_csv(
    blocks: Blocks, name: str, options: ReadOptions = DEFAULT_OPTIONS
) -> Iterator[Document]:
    """Yield a document per row; the delimiter is the one the first line has most of."""
    rows = split_into_lines(decode_blocks(blocks, name, options), name)
    first = next(rows, "")
    delimiter = max(",;\t|", key=first.count)
    yield from _documents(chain((first,), rows), delimiter, name, options)


def read_tsv(
    blocks: Blocks, name: str, options: ReadOptions = DEFAULT_OPTIONS
) -> Iterator[Document]:
    """Yield a document per row, columns divided by tabs."""
    yield from _documents(
        split_into_lines(decode_blocks(blocks, name, options), name), "\t", name, options
    )


def detect_text_columns(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return which columns hold text: those with a known title, else the long ones, else the
    longest.

    `titles` may be empty. No column at all if every cell is a number, or if beside numbers stand
    labels that recur.
    """
    by_title = {title.strip().lower(): at for at, title in reversed(list(enumerate(titles)))}
    for key in TEXT_KEYS:
        if key in by_title:
            return [by_title[key]]
    width = max(map(len, rows), default=0)
    mean = []
    for at in range(width):
        cells = [row[at] for row in rows if at < len(row)]
        text_lengths = [len(cell) for cell in cells if not _is_number(cell)]
        mean.append(sum(text_lengths) / max(1, len(cells)))
    long = [at for at, length in enumerate(mean) if length >= TEXT_CHARS]
    if not long and max(mean, default=0) > 0:
        column = mean.index(max(mean))
        labels = [row[column] for row in rows if column < len(row)]
        has_numbers = any(_is_numeric_column(rows, at) for at in range(width))
        long = [] if has_numbers and _recur(labels) else [column]
    return long


def _is_number(cell: str) -> bool:
    """Return whether a cell is a number, a word for a missing one, or another code."""
    return cell.strip().lower() in _NUMBER_WORDS or not is_text_value(cell)


def _is_numeric_column(rows: Sequence[Sequence[str]], at: int) -> bool:
    cells = [row[at] for row in rows if at < len(row) and row[at].strip()]
    return bool(cells) and all(map(_is_number, cells))


def _recur(labels: Sequence[str]) -> bool:
    """Return whether many cells are a few labels again and again, as the name of a setting."""
    return len(labels) >= MIN_LABELS and len(set(labels)) <= MAX_LABEL_FRACTION * len(labels)


def _documents(
    text: Iterator[str], delimiter: str, name: str, options: ReadOptions
) -> Iterator[Document]:
    rows = _rows(text, delimiter, name)
    look = list(islice(rows, SAMPLE_ROWS))
    requested = set(options.columns)
    titles = look[0] if look and (requested & set(look[0]) or _is_header(look[0], look[1:])) else []
    look = look[1:] if titles else look
    if requested and not requested & set(titles):
        raise no_such_column(name, options, titles)
    records = (dict(zip(titles, row, strict=False)) for row in chain(look, rows))
    if requested or (look and conversation_text(dict(zip(titles, look[0], strict=False)))):
        yield from record_documents(records, name, options)
        return
    columns = detect_text_columns(titles, look)
    if look and not columns:
        raise CorpusError(
            name, "only numbers and labels in its columns", "a column of text",
            "remove this file, or name a column (text_column)",
        )  # fmt: skip
    if len(columns) < max(map(len, look), default=0):
        listed = [titles[at] if at < len(titles) else str(at + 1) for at in columns]
        log_columns(name, listed, is_named=bool(titles))
    for number, row in enumerate(chain(look, rows), start=1):
        cells = [row[at] for at in columns if at < len(row) and row[at]]
        if cells:
            yield from document_chunks(("\n".join(cells),), f"{name}:{number}")


def _rows(text: Iterator[str], delimiter: str, name: str) -> Iterator[list[str]]:
    # The csv module has one limit for the whole process; it is only ever raised.
    csv.field_size_limit(max(MAX_LINE_CHARS, csv.field_size_limit()))
    rows = csv.reader(text, delimiter=delimiter)
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise CorpusError(
                f"{name}, line {rows.line_num}", f"a broken row ({error})", "a row of a table",
                "correct the file or remove it",
            ) from None  # fmt: skip
        if row is None:
            return
        if row:
            yield row


def _is_header(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row is titles: a known one, words over a column of numbers, or short
    words over longer text."""
    if any(cell.strip().lower() in TEXT_KEYS for cell in first):
        return True
    if conversation_text({cell.strip(): "text" for cell in first}):
        return True
    titles = [cell.strip() for cell in first]
    if not rest or len(set(titles)) < len(titles):
        return False
    if not any(map(_is_number, titles)) and any(
        _is_numeric_column(rest, at) for at in range(len(titles))
    ):
        return True
    if not all(_TITLE.fullmatch(title) and title.count(" ") < 2 for title in titles):
        return False
    max_row_chars = max(sum(len(cell) for cell in row) for row in rest)
    numbers = any(_NUMBER.fullmatch(cell) for row in rest for cell in row if cell)
    return numbers or max_row_chars > 2 * sum(map(len, titles))
