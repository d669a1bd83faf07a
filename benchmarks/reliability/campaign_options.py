"""What the command lines of the parts of the campaign have in common."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")


def make_parser(
    description: str | None, short: str | None = None, *, has_parts: bool = False
) -> argparse.ArgumentParser:
    """Return a parser with `--minutes` and `--out`, with `--short` if its help is given, and with
    `--after` if one call can go on where another had no more time."""
    parser = argparse.ArgumentParser(description=description)
    if short is not None:
        parser.add_argument("--short", action="store_true", help=short)
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no more after them")
    if has_parts:
        parser.add_argument("--after", type=int, default=0, metavar="N", help="without the first N")
    parser.add_argument("--out", type=Path)
    return parser


def begin_within(minutes: float, cases: Iterable[Item]) -> Iterator[Item]:
    """Yield `cases` until `minutes` have passed since the first; at least that one."""
    until = time.monotonic() + 60 * minutes
    for number, case in enumerate(cases):
        if number and time.monotonic() > until:
            return
        yield case
