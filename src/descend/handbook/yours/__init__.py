"""What a page says of one run, in that run's own numbers: a function a topic.

The functions state what was recorded and end with something to try; none of them judges.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.handbook.signals import PAGE_METRICS
from descend.handbook.yours.measured import metric_notes, not_measured_note
from descend.handbook.yours.record import RunRecord, read_run
from descend.handbook.yours.topics import TOPICS, setting_note

__all__ = ["read_run", "run_notes"]


def run_notes(name: str, run: RunRecord) -> str | None:
    """The section of page `name` about `run`; None where a run holds no number about it."""
    said = [setting_note(name, run)] if name in RunConfig.model_fields else []
    if told := metric_notes(name, run):
        said.append(told)
    elif name not in TOPICS and name in PAGE_METRICS:
        said.append(not_measured_note(run))
    if name in TOPICS:
        said.append(TOPICS[name](run))
    return "\n\n".join(said) or None
