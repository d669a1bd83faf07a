"""A configuration as the command that trains it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from descend.config import RunConfig

NO_FLAG = ("corpus_dir", "save_dir", "log_level")
"""Said otherwise, or of no consequence for what is learned."""


def train_command(config: Mapping[str, Any], corpus: str) -> str:
    """`descend train CORPUS` with a flag for each key that is not the default."""
    given = {
        key: value for key, value in config.items()
        if key not in NO_FLAG and value != RunConfig.model_fields[key].default
    }  # fmt: skip
    return shlex.join(["descend", "train", corpus, *flags_of(given)])


def flags_of(given: Mapping[str, Any]) -> list[str]:
    """Each key of `given` as a flag with its value; what is left open (None) has none."""
    words = []
    for key, value in given.items():
        flag = key.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, dict):
            words += [f"--{flag}", ",".join(f"{epoch}:{rate!r}" for epoch, rate in value.items())]
        elif value is not None:
            words += [f"--{flag}", str(value)]
    return words
