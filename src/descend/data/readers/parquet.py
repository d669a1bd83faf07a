"""Parquet and Arrow through pyarrow, a batch of rows at a time: one row, one document.

Runs in the child process of `isolated`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import chain
from typing import Any

from descend.data.document import Document
from descend.data.readers.chats import conversation_text
from descend.data.readers.chunking import document_chunks
from descend.data.readers.delimited import SAMPLE_ROWS, detect_text_columns
from descend.data.readers.options import ReadOptions, Source
from descend.data.readers.records import log_columns, no_such_column, record_documents
from descend.errors import CorpusError

_BATCH_ROWS = 256


def read_parquet(path: Source, name: str, options: ReadOptions) -> Iterator[Document]:
    """Yield a document per row, of the columns that hold text.

    Raises `CorpusError` if the file is damaged or has no such column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(name, error, "parquet") from None
    titles = _readable(file.schema_arrow)
    first = next(file.iter_batches(SAMPLE_ROWS, columns=titles, use_threads=False), None)
    look: list[dict[str, Any]] = first.to_pylist() if first else []
    text_columns = _columns(file.schema_arrow, look, name, options)
    rows = (
        row
        for batch in file.iter_batches(
            batch_size=_BATCH_ROWS, columns=text_columns, use_threads=False
        )
        for row in batch.to_pylist()
    )
    yield from _documents(rows, look, text_columns, name, options)


def read_arrow(path: Source, name: str, options: ReadOptions) -> Iterator[Document]:
    """Yield a document per row of an Arrow stream or file, as `datasets.save_to_disk` writes
    them."""
    import pyarrow as pa

    # Not mapped: the limit of memory counts what is mapped.
    data: Any = pa.BufferReader(path.getvalue()) if isinstance(path, BytesIO) else None
    try:
        data = data or pa.OSFile(str(path))
        try:
            reader: Any = pa.ipc.open_stream(data)
            batches: Iterable[Any] = reader
        except pa.ArrowInvalid:
            data.seek(0)
            reader = pa.ipc.open_file(data)
            batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
        readable = _readable(reader.schema)
        tables = (batch.select(readable) for batch in batches)
        first = next(tables, None)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(name, error, "arrow") from None
    look: list[dict[str, Any]] = first.slice(0, SAMPLE_ROWS).to_pylist() if first else []
    chosen = _columns(reader.schema, look, name, options)
    rows = (
        row
        for batch in (chain((first,), tables) if first else ())
        for start in range(0, batch.num_rows, _BATCH_ROWS)
        for row in batch.select(chosen).slice(start, _BATCH_ROWS).to_pylist()
    )
    yield from _documents(rows, look, chosen, name, options)


def _columns(schema: Any, look: list[dict[str, Any]], name: str, options: ReadOptions) -> list[str]:
    """Return columns that hold the text: those requested, those of a conversation, else of
    strings."""
    titles = _readable(schema)
    if options.columns:
        requested = [t for t in titles if t in {c.partition(".")[0] for c in options.columns}
                  or t in options.columns]  # fmt: skip
        if not requested:
            raise no_such_column(name, options, schema.names)
        return requested
    if look and conversation_text(look[0]) is not None:
        return titles
    strings = [title for title in titles if _is_string(schema.field(title).type)]
    cells = [[row[title] or "" for title in strings] for row in look]
    chosen = [strings[at] for at in detect_text_columns(strings, cells)] if strings else []
    if not chosen:
        raise CorpusError(name, "no column of text", "a table with strings in it", "remove it")
    if len(chosen) < len(schema.names):
        log_columns(name, chosen)
    return chosen


def _documents(
    rows: Iterator[dict[str, Any]], look: list[dict[str, Any]], chosen: list[str], name: str,
    options: ReadOptions,
) -> Iterator[Document]:  # fmt: skip
    if options.columns or (look and conversation_text(look[0]) is not None):
        yield from record_documents(rows, name, options)
        return
    for number, row in enumerate(rows, start=1):
        cells = [row[title] for title in chosen if row[title]]
        if cells:
            yield from document_chunks(("\n".join(cells),), f"{name}:{number}")


def _readable(schema: Any) -> list[str]:
    """Return columns of strings, and of lists and records with strings and no pictures in them."""
    return [field.name for field in schema if "text" in (kinds := _value_kinds(field.type))
            and "bytes" not in kinds]  # fmt: skip


def _value_kinds(kind: Any) -> set[str]:
    """Return whether a type holds text, and whether it holds bytes."""
    import pyarrow as pa

    if _is_string(kind):
        return {"text"}
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return {"bytes"}
    if pa.types.is_nested(kind):
        return set().union(*(_value_kinds(kind.field(at).type) for at in range(kind.num_fields)))
    return set()


def _is_string(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _damaged(name: str, error: Exception, kind: str) -> CorpusError:
    return CorpusError(
        name, f"a damaged file ({error})", f"a {kind} file", "fetch it again or remove it"
    )
