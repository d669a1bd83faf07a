"""Checks of the header of a safetensors file before the library reads it."""

from __future__ import annotations

from descend.data.child_check import check_in_child
from descend.limited_process import ProcessLimits
from descend.model.header_child import MAX_TENSORS

MAX_HEADER = 10 * 2**20
"""Bytes: room for 80,000 tensors. The library itself allows ten times that, and takes 18 s."""

_LIMITS = ProcessLimits(megabytes=1024, cpu_seconds=20)


def check_header(content: bytes) -> None:
    """Raise `ValueError` for a header that is too large, has a name twice or an empty tensor.

    A header that this machine has not checked before is checked in a child process with limits.
    """
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > len(content) - 8:
        raise ValueError("a header that does not fit into the file")
    if size > MAX_HEADER:
        raise ValueError(f"a header of {size:,} bytes, at most {MAX_HEADER:,}")
    header = content[8 : 8 + size]
    if header.count(b"{") > MAX_TENSORS + 2:  # before anything is decoded
        raise ValueError(f"a header of other than at most {MAX_TENSORS:,} tensors")
    check_in_child("header", "descend.model.header_child", header, _LIMITS)
