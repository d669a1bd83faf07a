"""What a page says of one run, in that run's own numbers: a function a topic.

The functions state what was recorded and end with something to try; none of them judges.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.handbook.yours.record import RunRecord, read_run
from descend.handbook.yours.topics import TOPICS, setting

__all__ = ["read_run", "yours"]


def yours(name: str, run: RunRecord) -> str | None:
    """The section of page `name` about `run`; None where a run holds no number about it."""
    said = [setting(name, run)] if name in RunConfig.model_fields else []
    if name in TOPICS:
        said.append(TOPICS[name](run))
    return "\n\n".join(said) or None
