"""Checks of the header of a safetensors file before the library reads it."""

from __future__ import annotations

import json
from typing import Any

from descend.guard import check_depth

MAX_HEADER = 10 * 2**20
"""Bytes: room for 80,000 tensors. The library itself allows ten times that, and takes 18 s."""

MAX_TENSORS = 20_000
"""Tensors: those of 1,600 blocks."""


def check_header(content: bytes) -> None:
    """Raise `ValueError` for a header that is too large, has a name twice or an empty tensor."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > len(content) - 8:
        raise ValueError("a header that does not fit into the file")
    if size > MAX_HEADER:
        raise ValueError(f"a header of {size:,} bytes, at most {MAX_HEADER:,}")
    header = content[8 : 8 + size]
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
