"""What the calls of the library share: how they are called, and where they report."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

from rich.console import Console

from descend.config import RunConfig
from descend.config_sources import ResolvedConfig, explicit_keys, resolve_config
from descend.guard import LossyStream

Config = RunConfig | Mapping[str, Any] | None


def resolve_call_config(config: Config, keys: Mapping[str, Any]) -> ResolvedConfig:
    """Return what a call asks for: `keys` before those of `config`, and `preset` may be among
    them."""
    requested_config = explicit_keys(config) | dict(keys)
    preset = requested_config.pop("preset", None)
    return resolve_config(requested_config, requested_origin="argument", preset=preset)


def resolve_save_dir(config: Config, keys: Mapping[str, Any]) -> Path | None:
    """Return the `save_dir` of a call; None if it names none."""
    named = (explicit_keys(config) | dict(keys)).get("save_dir")
    return None if named is None else Path(named)


def default_console() -> Console:
    """Return the standard error, whose loss ends no run, or the cell of a notebook."""
    console = Console(stderr=True, highlight=False)
    if not console.is_jupyter and sys.stderr is not None:
        console.file = cast("IO[str]", LossyStream(sys.stderr))
    return console


def select_console(console: Console | None, config: RunConfig) -> Console | None:
    """Return `console`, but None where `log_level` asks for warnings or errors only."""
    return None if config.log_level in ("warning", "error") else console
