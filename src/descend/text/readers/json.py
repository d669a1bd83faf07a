"""JSON and JSON lines: one record, one document.

A record is a string, or an object whose text stands under one of `TEXT_KEYS`; an object
without such a key gives all its strings, one a line. Files are read value by value, so a
large list need not fit into memory; one value must.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain

from descend.errors import CorpusError
from descend.text.document import Document
from descend.text.readers.cutting import MAX_LINE, in_parts, lines
from descend.text.readers.encoding import Blocks, decode

# Names under which data sets keep their text, the most usual first.
TEXT_KEYS = ("text", "content", "body", "story", "article", "document", "passage", "raw_content")

_BETWEEN = re.compile(r"[\s,]*")
# Numbers are never text, and Python refuses to make an int of thousands of digits.
_DECODER = json.JSONDecoder(parse_int=float)


def read_json(blocks: Blocks, name: str) -> Iterator[Document]:
    """A document per record of a list, or of values that follow each other.

    `source` is the name with the record's number. Raises `CorpusError` on broken JSON.
    """
    yield from _documents(_values(decode(blocks, name), name), name)


def read_jsonl(blocks: Blocks, name: str) -> Iterator[Document]:
    """A document per line. Raises `CorpusError` naming the first line that is not JSON."""
    yield from _documents(_lines(decode(blocks, name), name), name)


def record_text(record: object) -> str:
    """The text of one record: itself, that of its text key, or all its strings."""
    if isinstance(record, dict):
        by_name = {str(key).lower(): value for key, value in record.items()}
        for key in TEXT_KEYS:
            if isinstance(by_name.get(key), str):
                return str(by_name[key])
    return "\n".join(_strings(record))


def _documents(values: Iterable[object], name: str) -> Iterator[Document]:
    records = chain.from_iterable(map(_records, values))
    for number, record in enumerate(records, start=1):
        text = record_text(record)
        if text:
            yield from in_parts((text,), f"{name}:{number}")


def _records(value: object) -> Iterable[object]:
    """The records in one value: those of `{"data": [...]}`, or the value itself."""
    if isinstance(value, dict) and len(value) == 1:
        (only,) = value.values()
        if isinstance(only, list) and all(isinstance(item, (str, dict)) for item in only):
            return only
    return (value,)


def _strings(value: object) -> Iterator[str]:
    """All strings of a value in their order; with a stack, since files may nest deeply."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            waiting.extend(reversed(item.values()))
        elif isinstance(item, list):
            waiting.extend(reversed(item))


def _lines(pieces: Iterator[str], name: str) -> Iterator[object]:
    for number, line in enumerate(lines(pieces, name), start=1):
        if line.isspace():
            continue
        try:
            yield _DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            raise _broken(f"{name}, line {number}", _reason(error)) from None


def _values(pieces: Iterator[str], name: str) -> Iterator[object]:
    """The elements of the list a file consists of, or its values one after the other.

    A value that is not whole yet is tried again when the text held has doubled, so that
    the time stays linear.
    """
    held, at, wanted = "", 0, 0
    in_list: bool | None = None
    for piece in chain(pieces, (None,)):
        held, at = held[at:] + (piece or ""), 0
        while (at := _between(held, at)) < len(held):
            if in_list is None:
                in_list = held[at] == "["
                at += in_list
                continue
            if in_list and held[at] == "]":
                in_list, at = False, at + 1
                continue
            if piece is not None and len(held) - at < wanted:
                break
            end, value = _try_value(held, at, piece is None, name)
            if end is None:
                wanted = 2 * (len(held) - at)
                break
            yield value
            at, wanted = end, 0
        if len(held) - at > MAX_LINE:
            raise _broken(name, f"a value of over {MAX_LINE:,} characters")


def _try_value(held: str, at: int, ended: bool, name: str) -> tuple[int | None, object]:
    """The value at `at` and where it ends; no end if the text must go on first."""
    try:
        value, end = _DECODER.raw_decode(held, at)
    except json.JSONDecodeError as error:
        # What is cut off fails at its very end, or as a string that was not closed.
        cut_off = error.pos > len(held) - 16 or error.msg.startswith("Unterminated string")
        if ended or not cut_off:
            raise _broken(name, _reason(error, held)) from None
        return None, None
    except (ValueError, RecursionError) as error:
        raise _broken(name, _reason(error)) from None
    # A number that ends where the text held ends may go on in the next piece.
    return (None if end == len(held) and not ended else end), value


def _between(held: str, at: int) -> int:
    match = _BETWEEN.match(held, at)
    return match.end() if match else at


def _reason(error: Exception, held: str = "") -> str:
    if isinstance(error, RecursionError):
        return "JSON nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        near = held[max(0, error.pos - 20) : error.pos + 20]
        return f"broken JSON ({error.msg.lower()}{f' near {near!r}' if near else ''})"
    return f"broken JSON ({error})"


def _broken(where: str, found: str) -> CorpusError:
    return CorpusError(where, found, "valid JSON", "correct the file or remove it")
