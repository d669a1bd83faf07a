"""What comes from outside, made harmless: files within limits, JSON of bounded depth, plain text.

A folder may be a stranger's. Its files are read only if they are regular files and not too large.
A link, a device or a named pipe in the place of a file is refused, and never waited for.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import secrets
import stat
import time
from pathlib import Path
from typing import Any, TextIO, TypeVar

import msgspec

T = TypeVar("T")

RECORD_BYTES = 2**26
"""Most bytes of a record such as run.json: 64 MiB, a thousand times what descend writes."""

MAX_DEPTH = 64
"""Most levels of lists and objects in JSON from outside; descend writes at most 8."""

_STRING = rb'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(_STRING + rb"|[\[{]|[\]}]", re.DOTALL)
_LONG_NUMBER = re.compile(rb"[0-9]{309}")  # some numbers of so many digits fit no float

# C0 but tab and newline, DEL, C1, the marks that reorder text (Unicode TR36, Trojan Source), and
# surrogates: so Python holds the bytes of a file name that are no text.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def open_regular(path: Path, mode: int = os.O_RDONLY) -> io.FileIO:
    """Open `path` without following a link and without waiting; `OSError` if it is no file.

    Unbuffered. The folders above `path` may be links: the user named them.
    """
    flags = mode | os.O_CLOEXEC if hasattr(os, "O_CLOEXEC") else mode
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
        flags |= getattr(os, name, 0)
    if path.is_symlink():
        raise OSError(errno.ELOOP, "a link, where only a regular file is read", str(path))
    descriptor = os.open(path, flags, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if mode & os.O_APPEND:
            return io.FileIO(descriptor, "ab")
        return io.FileIO(descriptor, "r+b" if mode & os.O_RDWR else "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, max_bytes: int = RECORD_BYTES) -> bytes:
    """Read the regular file `path`; `OSError` if it is none or holds more than `max_bytes`."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise OSError(
                errno.EFBIG, f"{size:,} bytes, more than the {max_bytes:,} expected", str(path)
            )
        return read_exactly(file, size)


def is_regular_below(path: Path, folder: Path) -> bool:
    """Return whether `path` is a regular file, or a link to one that lies below `folder`.

    For folders of other programs, which link to files of their own; those of the Hugging Face
    cache to "blobs" beside "snapshots". Another link, of a stranger, may lead to a private file, a
    device without an end, or a pipe that nobody writes to.
    """
    base = folder.parent.parent if folder.parent.name == "snapshots" else folder
    try:
        if path.is_symlink():
            target = Path(os.path.realpath(path))
            if not target.is_relative_to(os.path.realpath(base)):
                return False
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def read_exactly(file: io.FileIO, size: int) -> bytes:
    """Return the next `size` bytes, or fewer at the end: an unbuffered file may give less at
    once."""
    content = b""
    while len(content) < size and (block := file.read(size - len(content))):
        content += block
    return content


def hash_file(path: Path) -> str | None:
    """SHA-256 (hex) of a regular file; None where there is none that can be read."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def check_depth(content: bytes, max_depth: int = MAX_DEPTH) -> None:
    """Raise `msgspec.DecodeError` if JSON in `content` nests deeper than `max_depth`.

    Cost: one pass over the text, and none where it holds few brackets.
    """
    if content.count(b"[") + content.count(b"{") <= max_depth:
        return
    depth = 0
    for match in _TOKEN.finditer(content):
        first = content[match.start()]
        if first == 0x22:  # a string: its brackets nest nothing
            continue
        depth += 1 if first in b"[{" else -1
        if depth > max_depth:
            raise msgspec.DecodeError(f"nested deeper than {max_depth} levels")


def check_digits(content: bytes) -> None:
    """Raise `msgspec.DecodeError` for a number in JSON that no float holds.

    Whole numbers of Python have no limit. Such a one passes every type, and fails where it is
    first divided.
    """
    if not _LONG_NUMBER.search(content):
        return
    if _LONG_NUMBER.search(re.sub(_STRING, b"", content, flags=re.DOTALL)):
        raise msgspec.DecodeError("a number of more than 308 digits")


def decode_json(content: bytes, kind: type[T]) -> T:
    """Decode JSON from outside as `kind`; `msgspec.DecodeError` if it is damaged, too deep, or
    holds a number that is too long."""
    check_depth(content)
    check_digits(content)
    try:
        return msgspec.json.decode(content, type=kind)
    except (RecursionError, UnicodeDecodeError, OverflowError) as problem:
        raise msgspec.DecodeError(str(problem)) from None


def make_visible(text: str) -> str:
    """Write control characters of `text` as escapes such as \\x1b; newlines and tabs stay.

    A terminal obeys what stands raw in a name, a text or a sample. The marks that reverse
    the order of text are made visible too.
    """
    return _CONTROL.sub(_escape, text)


def make_visible_in_json(text: str) -> str:
    """Write the same characters of a JSON text as its own escapes, which mean the same."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def encode_json(value: Any) -> bytes:
    """Encode `value` as JSON; the bytes of a file name that are no text are written as escapes."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_without_surrogates(msgspec.to_builtins(value, str_keys=True)))


def escape_surrogates(text: str) -> str:
    """Write the bytes of a file name that are no text as escapes such as \\udcff."""
    return text.encode("utf-8", "backslashreplace").decode()


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return escape_surrogates(value)
    if isinstance(value, dict):
        return {_without_surrogates(k): _without_surrogates(v) for k, v in value.items()}
    return [_without_surrogates(v) for v in value] if isinstance(value, list) else value


def sync_file(path: Path) -> None:
    """Make the content of `path` durable."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable; a no-op where folders cannot be opened (Windows)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def name_writer() -> str:
    """Return a part of a name for what is written aside: the number of this process, by which it
    is known later, and a random one. Other threads have the same number, as have processes of
    other containers that share the folder."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


ASIDE = re.compile(r"(.+)\.(\d+)(?:-[0-9a-f]{8})?\.(partial|old)")
"""Name of what is written aside or moved away: its target, process, and kind."""

STALE_SECONDS = 86_400
"""Age from which what a dead process left half written is taken away."""


def is_stale(aside: Path, process: int) -> bool:
    """Return whether `aside` is old and its process is dead, so that nobody will finish it."""
    try:
        age = time.time() - aside.lstat().st_mtime
    except OSError:
        return False
    return age > STALE_SECONDS and not is_alive(process)


def is_alive(process: int) -> bool:
    """Return whether a process of that number runs on this machine; True where that is unknown."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


class LossyStream:
    """A text stream whose loss ends nothing: what cannot be written is left out.

    The reader of a pipe leaves, a disk fills up, a terminal closes: training goes on. Each write
    is tried, so that lines appear again once there is room.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text` if that is possible; the number of characters either way."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: it was closed
            return len(text)

    def flush(self) -> None:
        """Flush if that is possible."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            return

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        try:
            return self._stream.isatty()
        except (OSError, ValueError):
            return False

    def writelines(self, lines: Any) -> None:
        """Write each of `lines`."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
