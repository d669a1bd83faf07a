"""The folders that descend writes, and the file by which each kind is known.

They stand beside the text that they were made from, and must not be taken for text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from descend.guard import decode_json, read_regular

RUN = "run.json"
COMPARISON = "comparison.json"
ATTRIBUTION = "attribution.json"
SEARCH = "search.json"
IMPROVEMENT = "improvement.json"
PLAN = "plan.json"
"""Beside the run.json of a run that was planned for a time."""

# Others may use such a name too: a key that stands in ours tells.
_KEYS = {
    RUN: "resolved",
    COMPARISON: "arms",
    ATTRIBUTION: "shares",
    SEARCH: "study",
    IMPROVEMENT: "candidates",
}


def is_output(folder: Path) -> bool:
    """Whether `folder` is that of a run or an experiment of descend."""
    return any(_has_key(folder / name, key) for name, key in _KEYS.items())


def _has_key(file: Path, key: str) -> bool:
    try:
        found = decode_json(read_regular(file), dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return False
    return key in found
