"""The text of a record: of a JSON object, or of a row of a table."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from descend.data.document import Document
from descend.data.readers.chats import conversation_text, join_loose_turns
from descend.data.readers.chunking import document_chunks
from descend.data.readers.options import ReadOptions
from descend.data.readers.slack_export import name_speaker
from descend.errors import CorpusError

# Names under which data sets keep their text, the most usual first.
TEXT_KEYS = ("text", "content", "body", "story", "article", "document", "passage", "raw_content")

# What stands under these names says something of a text and is none.
_NO_TEXT_KEY = re.compile(
    r"(.*_)?(id|ids|uuid|guid|url|urls|uri|href|link|links|permalink|hash|sha|sha1|sha256|md5|etag|"
    r"timestamp|date|time|created|created_at|updated_at|lang|language|locale|license|source|split|"
    r"type|role|from|path|file|filename|image|email|version|meta|metadata)"
)
_NO_TEXT = re.compile(
    r"\s*(?:[a-z][a-z0-9+.-]*://\S*|www\.\S+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|"
    r"[0-9a-f]{16,}|[-+.,:/ %\d]+|[-+]?[\d.,]+e[-+]?\d+|\d{4}-\d\d-\d\d[T ][\d:.,Z+-]+|[!-~]{80,}|"
    r"(?-i:(?=[A-Z]*\d)[A-Z][A-Z0-9]{7,}))\s*",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NUM_LISTED_KEYS, _MAX_KEY_CHARS = 8, 40
_log = logging.getLogger("descend")


def record_text(record: object, options: ReadOptions) -> str:
    """Return the text of one record.

    That of the columns which `options` name, else its conversation, else what stands under a
    known key, else all its strings that are not ids, URLs, dates and the like, one a line.
    """
    if options.columns:
        values = (value_at(record, column) for column in options.columns)
        return "\n".join(filter(None, map(_value_text, values)))
    chat = conversation_text(record)
    if chat is not None:
        return chat
    if isinstance(record, dict):
        key = _known_key(record)
        if key is not None:
            return str(record[key])
    return "\n".join(_strings(record))


def _known_key(record: Mapping[Any, object]) -> object:
    """Return the first of `TEXT_KEYS` that holds a string, as it is written; None without one."""
    by_name = {str(key).lower(): key for key, value in record.items() if isinstance(value, str)}
    return next((by_name[key] for key in TEXT_KEYS if key in by_name), None)


def _log_chosen_columns(name: str, record: Mapping[Any, object]) -> None:
    """Warn which keys of `record` are read where some are not."""
    known = _known_key(record)
    chosen = [k for k in record if any(_strings({k: record[k]}))] if known is None else [known]
    if len(chosen) < len(record):
        log_columns(name, list(map(str, chosen)))


def log_columns(name: str, columns: Sequence[str], *, is_named: bool = True) -> None:
    """Warn which `columns` of a file are read, and which setting chooses others."""
    names = ", ".join(c[:_MAX_KEY_CHARS] for c in columns[:_NUM_LISTED_KEYS])
    _log.warning(
        "%s: the text is taken from %s %s%s%s", name, "column" if len(columns) == 1 else "columns",
        names, ", …" if columns[_NUM_LISTED_KEYS:] else "",
        " (setting: text_column)" if is_named else "",
    )  # fmt: skip


def record_documents(
    records: Iterable[object], name: str, options: ReadOptions
) -> Iterator[Document]:
    """Yield a document per record with text, and per conversation; `source` ends with its number.

    Raises `CorpusError` if columns were named and no record has one of them.
    """
    keys: dict[str, None] = {}
    any_text = has_said = False
    if options.user_names:
        names = dict(options.user_names)
        records = (name_speaker(record, names) for record in records)
    joined = records if options.columns else join_loose_turns(records, name)
    for number, record in enumerate(joined, start=1):
        text = record_text(record, options)
        if text:
            if not (has_said or options.columns) and isinstance(record, dict):
                if conversation_text(record) is None:
                    _log_chosen_columns(name, record)
                has_said = True
            any_text = True
            yield from document_chunks((text,), f"{name}:{number}")
        elif isinstance(record, dict) and len(keys) < _NUM_LISTED_KEYS:
            keys |= dict.fromkeys(map(str, record))
    if options.columns and keys and not any_text:
        raise no_such_column(name, options, list(keys))


def no_such_column(name: str, options: ReadOptions, columns: Iterable[str]) -> CorpusError:
    """Return the error for a file without the columns that `options` name."""
    known = list(columns)
    listing = ", ".join(known[:_NUM_LISTED_KEYS]) + (", …" if known[_NUM_LISTED_KEYS:] else "")
    return CorpusError(
        name, f"no text under {', '.join(options.columns)} (its columns: {listing or 'none'})",
        "a column of text with that name", "correct text_column or leave it out",
    )  # fmt: skip


def value_at(record: object, column: str) -> object:
    """Return what stands under `column`, whose dots go into nested records; None if nothing
    does."""
    if not isinstance(record, Mapping):
        return None
    if column in record:
        return record[column]
    first, dot, rest = column.partition(".")
    return value_at(record.get(first), rest) if dot else None


def is_text_value(value: str) -> bool:
    """Return whether a string is text, and no number, id, URL, date, hash or other code."""
    return not _NO_TEXT.fullmatch(value, 0, min(len(value), 4096))


def _value_text(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    chat = conversation_text(value)
    return chat if chat is not None else "\n".join(_strings(value))


def _strings(value: object) -> Iterator[str]:
    """Yield all strings of a value in their order; with a stack, since files may nest deeply."""
    if isinstance(value, str):  # a record that is a string is its text, whatever it is
        yield value
        return
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if is_text_value(item):
                yield item
        elif isinstance(item, dict):
            waiting.extend(
                part for key, part in reversed(item.items())
                if not _NO_TEXT_KEY.fullmatch(_CAMEL.sub("_", str(key)).lower())
            )  # fmt: skip
        elif isinstance(item, list):
            waiting.extend(reversed(item))
