"""Standard output is for results, standard error for everything said on the way."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

TERMINAL_WIDTH_OF_FILES = 200
"""Columns of a table that is written to a file or a pipe."""


def talk() -> Console:
    """The console on standard error; honours NO_COLOR and TERM=dumb."""
    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr, flush=True)


def result(text: str) -> None:
    """A result on standard output."""
    print(text, flush=True)


def result_json(value: Any) -> None:
    """One JSON object on standard output."""
    sys.stdout.write(msgspec.json.encode(value, enc_hook=_path_as_text).decode() + "\n")
    sys.stdout.flush()


def _path_as_text(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))


def set_up_logging(level: str) -> None:
    """Send the library's log to standard error, a line each."""
    logger = logging.getLogger("descend")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    # At the handler, not the logger: the cache keeps warnings, also those that are not shown.
    handler.setLevel(level.upper())
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
