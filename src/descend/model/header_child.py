"""The child process in which the header of a stranger's safetensors file is checked first."""

from __future__ import annotations

import json
from typing import Any

from descend.guard import check_depth
from descend.limited_process import answer_limited

MAX_TENSORS = 20_000
"""Tensors: those of 1,600 blocks."""


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


def find_problem(content: bytes) -> str:
    """Return why the JSON of a header is refused; empty if nothing is wrong with it."""
    try:
        check_tensors(content)
    except (ValueError, RecursionError) as problem:  # a DecodeError is a ValueError
        return (str(problem).splitlines() or ["nested too deep"])[0][:200]
    return ""


def main() -> None:
    """Answer for the header on standard input."""
    answer_limited(find_problem)
