"""The command line of the scripts that make trials: TEXTS OUT CORPORA LIMIT [SECONDS]."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrialArgs:
    """The folders of texts and of trials, the corpora, and the time for them."""

    texts: Path
    out: Path
    corpora: list[str]
    limit: float
    """Reference seconds of a whole trial (see `trial.py`)."""
    deadline: float
    """On the monotonic clock: no trial is begun after it."""

    @property
    def trials(self) -> Path:
        """The folder of trials."""
        return self.out / "trials"

    @property
    def is_over(self) -> bool:
        """Whether the time for new trials is over."""
        return time.monotonic() > self.deadline


def parse_trial_args() -> TrialArgs:
    """Read the command line."""
    texts, out, corpora, limit, *seconds = sys.argv[1:]
    deadline = time.monotonic() + float(seconds[0]) if seconds else float("inf")
    return TrialArgs(Path(texts), Path(out), corpora.split(","), float(limit), deadline)
