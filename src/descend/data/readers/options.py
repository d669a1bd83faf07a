"""What a person said of how their files are to be read."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from descend.errors import ConfigError

if TYPE_CHECKING:
    from descend.config import RunConfig


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Choices that go before what the files themselves suggest.

    `encoding`: the codec of text files without a byte-order mark. `text_column`: the keys or
    columns, divided by commas, that hold the text of a record; a dot goes into a nested record.
    `split`: of a data set in splits, the one to read. `folder_encoding`: the codec that the files
    of a folder suggest together; a file's own strong evidence goes before it. `user_names`: of
    the people in an export of Slack, by their ids.
    """

    encoding: str | None = None
    text_column: str | None = None
    split: str | None = None
    folder_encoding: str | None = None
    user_names: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `text_column`, in the order in which they were named."""
        return tuple(filter(None, (c.strip() for c in (self.text_column or "").split(","))))


def read_options(config: RunConfig) -> ReadOptions:
    """Return what `config` says of how its corpus is to be read."""
    return ReadOptions(config.encoding, config.text_column, config.split)


Source = Path | BytesIO
"""What a parser of a binary format opens: a file, or a member of an archive in memory."""

DEFAULT_OPTIONS = ReadOptions()


def check_encoding(encoding: str) -> None:
    """Raise `ConfigError` unless Python knows `encoding` as a codec of text."""
    try:
        "".encode(codecs.lookup(encoding).name)
    except (LookupError, ValueError):
        raise ConfigError(
            "encoding", repr(encoding), "the name of a text encoding, such as utf-8 or cp1252",
            "correct the name or leave it out",
        ) from None  # fmt: skip
