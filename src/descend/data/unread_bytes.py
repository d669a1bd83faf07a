"""How much of a file was lost when its reader met an error."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from descend.data.readers.decompression import SUFFIXES as COMPRESSED_SUFFIXES

_LINE_NUMBER = re.compile(r", line (\d+)$")


def count_unread_bytes(path: Path, location: str) -> int:
    """Return the bytes of `path` from the line on that `location` ends with.

    All bytes count where no line is named, or where the file is compressed. 0 for a file that
    cannot be opened.
    """
    line = _LINE_NUMBER.search(location)
    try:
        size = path.stat().st_size
        if line is None or path.suffix.lower() in COMPRESSED_SUFFIXES:
            return size
        with path.open("rb") as file:
            read = sum(len(text) for text in islice(file, int(line[1]) - 1))
    except OSError:
        return 0
    return size - read if read < size else size
