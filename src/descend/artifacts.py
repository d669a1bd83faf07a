"""The folders that descend writes, and the file by which each kind is known.

They stand beside the text that they were made from, and must not be taken for text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from descend.guard import decode_json, read_regular

RUN_FILE = "run.json"
COMPARISON_FILE = "comparison.json"
ATTRIBUTION_FILE = "attribution.json"
SEARCH_FILE = "search.json"
IMPROVEMENT = "improvement.json"
LESSON = "lesson.json"
PLAN = "plan.json"
"""Beside the run.json of a run that was planned for a time."""

# Others may use such a name too: a key that stands in ours tells.
_KEYS = {
    RUN_FILE: "resolved_config",
    COMPARISON_FILE: "arms",
    ATTRIBUTION_FILE: "contributions",
    SEARCH_FILE: "study",
    IMPROVEMENT: "candidates",
    LESSON: "lesson",
}


def is_artifact_folder(folder: Path) -> bool:
    """Return whether `folder` is that of a run or an experiment of descend."""
    return any(_json_has_key(folder / name, key) for name, key in _KEYS.items())


def _json_has_key(file: Path, key: str) -> bool:
    try:
        content = decode_json(read_regular(file), dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return False
    return key in content
