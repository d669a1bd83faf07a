"""A configuration as the command that trains it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from descend.config import NON_SEMANTIC_KEYS, RunConfig


def format_train_command(config: Mapping[str, Any], corpus: str) -> str:
    """Return `descend train CORPUS` with a flag for each key that is not the default."""
    options = {key: value for key, value in non_default_keys(config).items() if key != "corpus_dir"}
    return shlex.join(["descend", "train", corpus, *format_flags(options)])


def format_python_call(verb: str, *positional: Any, **keywords: Any) -> str:
    """Return `descend.compare({…}, vary={…})`: the Python that does it again; what is None is left
    out."""
    arguments = [repr(value) for value in positional if value is not None]
    arguments += [f"{name}={value!r}" for name, value in keywords.items() if value is not None]
    return f"descend.{verb}({', '.join(arguments)})"


def non_default_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a configuration that are not the default, without where it is kept."""
    return {
        key: value for key, value in config.items()
        if key not in NON_SEMANTIC_KEYS and value != RunConfig.model_fields[key].default
    }  # fmt: skip


def format_flags(options: Mapping[str, Any]) -> list[str]:
    """Return each key of `options` as a flag with its value; what is left open (None) has none."""
    flags = []
    for key, value in options.items():
        flag = key.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, dict):
            flags += [f"--{flag}", ",".join(f"{epoch}:{rate!r}" for epoch, rate in value.items())]
        elif value is not None:
            flags += [f"--{flag}", str(value)]
    return flags
