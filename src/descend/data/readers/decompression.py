"""The bytes of a file in blocks: as they are, or unpacked from gzip or Zstandard.

Unpacking is done block by block, so that a small file that unpacks to terabytes costs
time but no memory.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from descend.data.readers.charset import BLOCK_BYTES, Blocks
from descend.errors import CorpusError

# A Zstandard block of four bytes may stand for 128 KiB: fed this much at a time, the worst
# file gives 32 MiB at once.
_ZSTD_FEED_BYTES = 1 << 10

SUFFIXES = (".gz", ".zst")


def opened_blocks(opener: Callable[[], BinaryIO], suffix: str, name: str) -> Blocks:
    """Return the bytes of what `opener` opens afresh each time, unpacked if `suffix` says so.

    The blocks raise `CorpusError`, in which `name` stands, if that cannot be read or unpacked.
    """
    unpack = {".gz": _gzip_blocks, ".zst": _zstd_blocks}.get(suffix.lower(), _plain_blocks)

    def blocks() -> Iterator[bytes]:
        try:
            with opener() as file:
                yield from unpack(file)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _damaged(name, suffix, error) from None
        except OSError as error:
            raise read_error(name, error) from None

    return blocks


def read_error(name: str, error: OSError) -> CorpusError:
    """Return the operating system's refusal to read, as one sentence."""
    reason = (error.strerror or type(error).__name__).lower()
    return CorpusError(
        name, f"no way to read it ({reason})", "a readable file or folder",
        "check its permissions and that the disk is there",
    )  # fmt: skip


def _plain_blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        yield block


def _gzip_blocks(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as unpacked:
        while block := unpacked.read(BLOCK_BYTES):
            yield block


def _zstd_blocks(file: BinaryIO) -> Iterator[bytes]:
    """Frame after frame; raises `EOFError` where the last one is cut off."""
    new_frame, failure = _zstd()
    frame, whole = new_frame(), True
    while waiting := file.read(_ZSTD_FEED_BYTES):
        while waiting:
            try:
                block = frame.decompress(waiting)
            except failure as error:
                raise EOFError(str(error)) from None
            if block:
                yield block
            whole = frame.eof
            waiting = frame.unused_data if whole else b""
            frame = new_frame() if whole else frame
    if not whole:
        raise EOFError("the end is missing")


def _zstd() -> tuple[Any, type[Exception]]:
    """Return what makes a decompressor of one frame, and what it raises."""
    if sys.version_info >= (3, 14):
        from compression import zstd

        return zstd.ZstdDecompressor, zstd.ZstdError
    import zstandard

    # Frames asking for a larger window than the format's usual 128 MiB are refused.
    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    return unpacker.decompressobj, zstandard.ZstdError


def _damaged(name: str, suffix: str, error: Exception) -> CorpusError:
    kind = {".gz": "gzip", ".zst": "Zstandard"}.get(suffix.lower(), "compressed")
    return CorpusError(
        name, f"damaged data ({error})", f"a whole {kind} file", "fetch or compress it again"
    )
