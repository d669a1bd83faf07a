"""Data sets by name, as `datasets` knows them: from the Hugging Face hub, or a local folder.

`hf:NAME` or `hf:NAME:CONFIGURATION` is a corpus. Its rows are streamed, and none but those read
come over the network. They are copied to the cache as JSON lines, because each text is read twice:
to train a tokenizer, and to encode it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from descend.data.readers.options import ReadOptions
from descend.errors import CorpusError, MissingDependencyError, shorten

PREFIX = "hf:"

DEFAULT_SPLIT = "train"

_FIRST_ROWS = re.compile(r"([\w.-]+)(?:\[:(\d{1,15})\])?")
"""A split, or its first rows: `train` or `train[:1000]`, as `datasets` writes it."""


def stream_json_lines(corpus: str, options: ReadOptions) -> Iterator[bytes]:
    """Yield each row of the data set `corpus` (`hf:NAME`) as a line of JSON.

    `options` name the split (default `train`, and `train[:1000]` are its first rows) and the
    columns; without columns all are taken. Raises `MissingDependencyError` without `datasets`, and
    `CorpusError` with the words of `datasets` for a name, split, or column that it does not find.
    """
    try:
        import datasets
    except ImportError:
        raise MissingDependencyError(
            corpus, "no package `datasets`", "the package of the extra `datasets`",
            "run `pip install 'descend[datasets]'`",
        ) from None  # fmt: skip
    name, _, configuration = corpus.removeprefix(PREFIX).partition(":")
    split = _FIRST_ROWS.fullmatch(options.split or DEFAULT_SPLIT)
    if split is None:
        raise CorpusError(
            corpus, f"the split {options.split}", "a split such as train or train[:1000]",
            "correct --dataset-split",
        )  # fmt: skip
    try:
        rows = datasets.load_dataset(name, configuration or None, split=split[1], streaming=True)
        if split[2]:
            rows = rows.take(int(split[2]))
        yield from _lines(corpus, rows, {column.partition(".")[0] for column in options.columns})
    except CorpusError:
        raise
    except Exception as problem:  # of its file systems, its HTTP client, and its parsers
        reason = " ".join(str(problem).split()) or type(problem).__name__
        raise CorpusError(
            corpus, f"no data set that can be read ({shorten(reason, 200)})",
            "hf:NAME or hf:NAME:CONFIGURATION of a data set", "check name, split, and network",
        ) from None  # fmt: skip


def _lines(corpus: str, rows: Iterable[dict[str, Any]], columns: set[str]) -> Iterator[bytes]:
    """Each row as JSON, of `columns` alone where they are named; pictures and sounds are null."""
    for number, row in enumerate(rows):
        if number == 0 and columns and not columns & row.keys():
            raise CorpusError(
                corpus, f"no column {min(columns)} (its columns: {', '.join(map(str, row))})",
                "a column of the data set", "correct --text-column",
            )  # fmt: skip
        chosen = {k: v for k, v in row.items() if k in columns} if columns else row
        line = json.dumps(chosen, ensure_ascii=False, default=lambda _: None)
        yield line.encode("utf-8", "surrogatepass") + b"\n"
