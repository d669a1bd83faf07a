"""One JSON object a line, as many programs write their metrics; also one list of objects.

descend's own events.jsonl is read here too: its steps hold `loss`, its epochs `validation_loss`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from descend.doctor.logs.log import Log, log_of, meanings


def parse(text: str) -> Log | None:
    """The log in `text`, or None if it holds no objects with a loss."""
    objects: list[Mapping[str, Any]] = []
    skipped = 0
    for value in _values(text):
        if isinstance(value, dict):
            if value.get("kind") == "rescue":  # its own: what it went back before is undone
                objects = [o for o in objects if o.get("step", 0) <= value["step"]]
            objects.append(_flat(value))
        else:
            skipped += 1
    names = list(dict.fromkeys(name for row in objects for name in row))
    if not {"training", "validation"} & meanings(names).keys():
        return None
    return log_of("JSON lines", objects, skipped)


def _values(text: str) -> list[Any]:
    # Python's reader, since NaN is what a log of a failed run holds and strict readers refuse.
    if text.lstrip().startswith("["):
        try:
            whole = json.loads(text)
        except ValueError:
            return []
        return whole if isinstance(whole, list) else []
    values: list[Any] = []
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            values.append(json.loads(line))
        except ValueError:
            values.append(None)
    return values


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"train": {"loss": 1}}` as `{"train/loss": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}/")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
