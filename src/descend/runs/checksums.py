"""Checksums of what a run writes down: one for a record, one a line for the events.

They tell damage, not forgery: whoever can change a file can change its checksum too.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from descend.guard import open_regular

MAX_LINE_BYTES = 2**24
"""Longest line of events.jsonl: 16 MiB. The longest that descend writes is about 100 kB."""

MAX_LOG_BYTES = 2**32
"""Largest events.jsonl that is read: 4 GiB, about 16 million steps."""

_SEAL = re.compile(rb',\n  "sha256": "([0-9a-f]{64})"\n\}\s*\Z')
_LINE_SEAL = re.compile(rb',"after":"([0-9a-f]{8})","crc32":"([0-9a-f]{8})"\}\Z')
START = "00000000"
"""What the first line comes after."""


def seal_json(record: object) -> bytes:
    """Return `record` as a JSON object whose last key is the SHA-256 of all before it.

    It takes twice the memory of what it returns: a summary grows with the epochs of a run.
    """
    body = msgspec.json.format(msgspec.json.encode(record), indent=2)
    digest = hashlib.sha256(body).hexdigest().encode()
    end = body.rindex(b"\n}")
    return b"".join((memoryview(body)[:end], b',\n  "sha256": "', digest, b'"\n}'))


def check_seal(content: bytes) -> None:
    """Raise `msgspec.DecodeError` if the SHA-256 in a JSON object is not its own.

    A file without one passes: an older descend or an editor wrote it.
    """
    if _SEAL.search(content) and not is_sealed(content):
        raise msgspec.DecodeError("its SHA-256 is not the one in it")


def is_sealed(content: bytes) -> bool:
    """Return whether a JSON object ends with the SHA-256 of all before it."""
    match = _SEAL.search(content)
    if match is None:
        return False
    body = content[: match.start()] + b"\n}"
    return hashlib.sha256(body).hexdigest().encode() == match[1]


def seal_line(line: bytes, after: str) -> tuple[bytes, str]:
    """Add to a JSON object the CRC-32 of the line that it comes `after`, and its own.

    Returns the new line and its CRC-32.
    """
    body = line[:-1] + b',"after":"' + after.encode() + b'"'
    crc = f"{zlib.crc32(body):08x}"
    return body + b',"crc32":"' + crc.encode() + b'"}', crc


def checksum_of(line: bytes) -> str | None:
    """Return the CRC-32 that stands in `line`; None where there is none."""
    match = _LINE_SEAL.search(line)
    return None if match is None else match[2].decode()


@dataclass
class Chain:
    """Lines read one after the other, and what is wrong with them.

    A log of an older descend has no checksums: its lines pass until one has.
    """

    last: str | None = None
    """CRC-32 of the last line; None before the first that has one, and after a damaged one."""
    number: int = 0
    sealed: bool = False
    damaged: list[int] = field(default_factory=list)
    """Numbers of the lines, from 1, that are not as they were written."""
    incomplete: list[int] = field(default_factory=list)
    """Numbers of the lines before which at least one is missing."""

    def check(self, line: bytes) -> bool:
        """Return whether `line` is as it was written; notes what is wrong."""
        self.number += 1
        match = _LINE_SEAL.search(line)
        if match is None:
            if self.sealed:
                self.damaged.append(self.number)
                self.last = None
            return not self.sealed
        body = line[: line.rindex(b',"crc32":"')]
        if f"{zlib.crc32(body):08x}".encode() != match[2]:
            self.damaged.append(self.number)
            self.last, self.sealed = None, True
            return False
        expected = self.last if self.sealed else START
        before = match[1].decode()
        if expected is not None and before != expected and (self.sealed or self.number == 1):
            self.incomplete.append(self.number)
        self.last, self.sealed = match[2].decode(), True
        return True


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a log with their ends, none if it is missing; `OSError` if it is no file.

    `OSError` also if it is larger than `MAX_LOG_BYTES`: a sparse file of any size costs nothing to
    send. A line longer than `MAX_LINE_BYTES` comes as an empty one, read in pieces and let go.
    """
    try:
        file = io.BufferedReader(open_regular(path))
    except (FileNotFoundError, NotADirectoryError):
        return
    with file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_LOG_BYTES:
            raise OSError(
                errno.EFBIG, f"{size:,} bytes, more than the {MAX_LOG_BYTES:,} expected", str(path)
            )
        too_long = False
        while line := file.readline(MAX_LINE_BYTES):
            ends = line.endswith(b"\n")
            if too_long or (not ends and len(line) == MAX_LINE_BYTES):
                if ends:
                    yield b"\n"
                too_long = not ends
                continue
            yield line
