"""Parquet through pyarrow, a batch of rows at a time: one row, one document.

Runs in the child process of `isolated`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from descend.errors import CorpusError
from descend.text.document import Document
from descend.text.readers.cutting import in_parts
from descend.text.readers.tables import LOOK_ROWS, text_columns

_BATCH_ROWS = 256


def read_parquet(path: Path, name: str) -> Iterator[Document]:
    """A document per row, of the string columns that hold text.

    Raises `CorpusError` if the file is damaged or has no such column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise CorpusError(
            name, f"a damaged file ({error})", "a parquet file", "fetch it again or remove it"
        ) from None
    titles = [
        field.name
        for field in file.schema_arrow
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    ]
    first = next(file.iter_batches(LOOK_ROWS, columns=titles, use_threads=False), None)
    look = [[cell or "" for cell in row.values()] for row in first.to_pylist()] if first else []
    chosen = [titles[at] for at in text_columns(titles, look)] if titles else []
    if not chosen:
        raise CorpusError(
            name, "no column of text", "a parquet file with strings in it", "remove it"
        )
    number = 0
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=chosen, use_threads=False):
        for row in batch.to_pylist():
            number += 1
            cells = [row[title] for title in chosen if row[title]]
            if cells:
                yield from in_parts(("\n".join(cells),), f"{name}:{number}")
