"""JSON: one document per record, or per conversation (`records`, `chats`).

A record is an element of a list, a line of JSON lines, or one of several values that follow each
other. Files are read value by value, so a large list need not fit into memory; one value must.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain

from descend.data.document import Document
from descend.data.readers.charset import Blocks, decode_blocks
from descend.data.readers.chats import conversation_text
from descend.data.readers.chunking import MAX_LINE_CHARS, split_into_lines
from descend.data.readers.options import DEFAULT_OPTIONS, ReadOptions
from descend.data.readers.records import TEXT_KEYS, record_documents
from descend.errors import CorpusError

_BETWEEN = re.compile(r"[\s,]*")
# Numbers are never text, and Python refuses to make an int of thousands of digits.
_DECODER = json.JSONDecoder(parse_int=float)
# The first line of a value that is written over several is as short as a bracket or one pair.
_MAX_FIRST_LINE = 1 << 16
# Characters of what may stand beside a list of records: a version, a title.
_MAX_LABEL = 40


def read_json(
    blocks: Blocks, name: str, options: ReadOptions = DEFAULT_OPTIONS
) -> Iterator[Document]:
    """Yield a document per record of a list, or of values that follow each other.

    `source` is the name with the record's number. Raises `CorpusError` on broken JSON.
    """
    yield from _documents(_values(decode_blocks(blocks, name, options), name), name, options)


def read_jsonl(
    blocks: Blocks, name: str, options: ReadOptions = DEFAULT_OPTIONS
) -> Iterator[Document]:
    """Yield a document per line; or per value, where the first one goes over several lines.

    Raises `CorpusError` naming the first line that is not JSON.
    """
    text = decode_blocks(blocks, name, options)
    first = next((line for line in split_into_lines(text, name) if not line.isspace()), "")
    if _goes_on(first):
        yield from read_json(blocks, name, options)
    else:
        yield from _documents(_lines(decode_blocks(blocks, name, options), name), name, options)


def _goes_on(line: str) -> bool:
    """Return whether a line begins a JSON value that does not end in it."""
    try:
        _DECODER.decode(line)
    except json.JSONDecodeError as error:
        return error.pos >= len(line.rstrip()) and len(line.strip()) < _MAX_FIRST_LINE
    except (ValueError, RecursionError):
        pass
    return False


def _documents(values: Iterable[object], name: str, options: ReadOptions) -> Iterator[Document]:
    return record_documents(chain.from_iterable(map(_records, values)), name, options)


def _records(value: object) -> Iterable[object]:
    """Return the records in one value: those of `{"data": [...]}`, or the value itself.

    Beside the list only numbers and names may stand, as of a version; a list of turns is none.
    """
    if not isinstance(value, dict) or conversation_text(value) is not None:
        return (value,)
    lists = [part for part in value.values() if isinstance(part, list)]
    others = {str(key).lower() for key, part in value.items() if not isinstance(part, list)}
    if len(lists) != 1 or others & set(TEXT_KEYS) or any(
        isinstance(part, dict) or len(str(part)) > _MAX_LABEL
        for part in value.values() if not isinstance(part, list)
    ):  # fmt: skip
        return (value,)
    only = lists[0]
    whole = all(isinstance(item, dict) for item in only) if others else all(
        isinstance(item, (str, dict, list)) for item in only
    )  # fmt: skip
    return only if whole and len(only) > bool(others) else (value,)


def _lines(texts: Iterator[str], name: str) -> Iterator[object]:
    for number, line in enumerate(split_into_lines(texts, name), start=1):
        if line.isspace():
            continue
        try:
            yield _DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            raise _broken(f"{name}, line {number}", _reason(error)) from None


def _values(texts: Iterator[str], name: str) -> Iterator[object]:
    """Yield the elements of the list a file consists of, or its values one after the other.

    A value that is not whole yet is tried again when the text held has doubled, so that
    the time stays linear.
    """
    pending, at, min_length = "", 0, 0
    in_list: bool | None = None
    for text in chain(texts, (None,)):
        pending, at = pending[at:] + (text or ""), 0
        while (at := _between(pending, at)) < len(pending):
            if in_list is None:
                in_list = pending[at] == "["
                at += in_list
                continue
            if in_list and pending[at] == "]":
                in_list, at = False, at + 1
                continue
            if text is not None and len(pending) - at < min_length:
                break
            end, value = _try_value(pending, at, text is None, name)
            if end is None:
                min_length = 2 * (len(pending) - at)
                break
            yield value
            at, min_length = end, 0
        if len(pending) - at > MAX_LINE_CHARS:
            raise _broken(name, f"a value of over {MAX_LINE_CHARS:,} characters")


def _try_value(pending: str, at: int, ended: bool, name: str) -> tuple[int | None, object]:
    """Return the value at `at` and where it ends; no end if the text must go on first."""
    try:
        value, end = _DECODER.raw_decode(pending, at)
    except json.JSONDecodeError as error:
        # What is cut off fails at its very end, or as a string that was not closed.
        cut_off = error.pos > len(pending) - 16 or error.msg.startswith("Unterminated string")
        if ended or not cut_off:
            raise _broken(name, _reason(error, pending)) from None
        return None, None
    except (ValueError, RecursionError) as error:
        raise _broken(name, _reason(error)) from None
    # A number that ends where the text held ends may go on in the next piece.
    return (None if end == len(pending) and not ended else end), value


def _between(pending: str, at: int) -> int:
    match = _BETWEEN.match(pending, at)
    return match.end() if match else at


def _reason(error: Exception, pending: str = "") -> str:
    if isinstance(error, RecursionError):
        return "JSON nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        near = pending[max(0, error.pos - 20) : error.pos + 20]
        return f"broken JSON ({error.msg.lower()}{f' near {near!r}' if near else ''})"
    return f"broken JSON ({error})"


def _broken(where: str, actual: str) -> CorpusError:
    return CorpusError(where, actual, "valid JSON", "correct the file or remove it")
