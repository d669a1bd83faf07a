"""What the scripts of this benchmark are asked: TEXTS OUT CORPORA LIMIT [SECONDS]."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asked:
    """Where texts lie, where trials are kept, of which corpora, and for how long."""

    texts: Path
    out: Path
    corpora: list[str]
    limit: float
    """Reference seconds of a whole trial (see `trial.py`)."""
    until: float
    """On the monotonic clock: no trial is begun after it."""

    @property
    def trials(self) -> Path:
        """Where they are kept."""
        return self.out / "trials"

    @property
    def over(self) -> bool:
        """Whether the time for new trials is over."""
        return time.monotonic() > self.until


def asked() -> Asked:
    """The arguments of the command line."""
    texts, out, corpora, limit, *seconds = sys.argv[1:]
    until = time.monotonic() + float(seconds[0]) if seconds else float("inf")
    return Asked(Path(texts), Path(out), corpora.split(","), float(limit), until)
