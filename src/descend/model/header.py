"""Checks of the header of a safetensors file before the library reads it."""

from __future__ import annotations

import json
from typing import Any

from descend.data.cache_dir import is_checked, remember_checked
from descend.guard import check_depth
from descend.limited_process import LimitError, ProcessLimits, run_limited

MAX_HEADER = 10 * 2**20
"""Bytes: room for 80,000 tensors. The library itself allows ten times that, and takes 18 s."""

MAX_TENSORS = 20_000
"""Tensors: those of 1,600 blocks."""


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
    if is_checked("header", header):
        return
    from descend.model.header_child import HeaderFacts

    try:
        facts = run_limited("descend.model.header_child", header, HeaderFacts, _LIMITS)
    except LimitError as problem:
        raise ValueError(str(problem)) from None
    if facts.problem is not None:
        raise ValueError(facts.problem)
    remember_checked("header", header)


def check_tensors(header: bytes) -> None:
    """Raise `ValueError` for the JSON of a header that names a tensor twice, or an empty one."""
    check_depth(header, 4)
    try:
        tensors = json.loads(header, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("a header nested too deep") from None
    if not isinstance(tensors, dict) or len(tensors) > MAX_TENSORS:
        raise ValueError(f"a header of other than at most {MAX_TENSORS:,} tensors")
    for name, tensor in tensors.items():
        if not isinstance(tensor, dict):
            raise ValueError("a tensor without a shape")
        if name != "__metadata__" and 0 in (tensor.get("shape") or ()):
            raise ValueError("a tensor without numbers")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name that stands twice")
    return values
