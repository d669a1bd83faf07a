"""Where a program sets evaluation mode."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from descend.program_check.instrumentation.lines_run import FileLine


@contextmanager
def watch_evaluation_mode(files: Collection[str], lines: set[FileLine]) -> Iterator[None]:
    """Add to `lines` those of `files` that set evaluation mode while somebody runs inside."""
    inner = nn.Module.train

    def train(self: Any, mode: bool = True) -> Any:
        frame: Any = None if mode else sys._getframe(1)
        while frame is not None and frame.f_code.co_filename not in files:
            frame = frame.f_back
        if frame is not None:
            lines.add((frame.f_code.co_filename, frame.f_lineno))
        return inner(self, mode)

    nn.Module.train = train  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.train = inner  # type: ignore[method-assign]
