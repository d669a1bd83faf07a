"""What a page says of one run, in that run's own numbers: a function a topic.

The functions state what was recorded and end with something to try; none of them judges.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.handbook.metric_glossary import PAGE_METRICS
from descend.handbook.run_notes.metric_notes import describe_metrics, describe_missing_metrics
from descend.handbook.run_notes.topics import TOPICS, describe_run_key
from descend.runs.recorded_run import RecordedRun


def describe_run(name: str, run: RecordedRun) -> str | None:
    """Return the section of page `name` about `run`; None where a run holds no number about it."""
    said = [describe_run_key(name, run)] if name in RunConfig.model_fields else []
    if metrics_text := describe_metrics(name, run):
        said.append(metrics_text)
    elif name not in TOPICS and name in PAGE_METRICS:
        said.append(describe_missing_metrics(run))
    if name in TOPICS:
        said.append(TOPICS[name](run))
    return "\n\n".join(said) or None
