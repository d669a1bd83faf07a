"""What the diagnosis of a run read of the signals that a page is about."""

from __future__ import annotations

from descend.diagnosis.diagnosis_result import Evidence
from descend.diagnosis.metric_text import format_metric, format_metric_range
from descend.handbook.metric_glossary import METRIC_DESCRIPTIONS, PAGE_METRICS
from descend.handbook.run_notes.diagnosis_notes import load_saved_diagnosis
from descend.handbook.run_notes.wording import format_ci95
from descend.runs.recorded_run import RecordedRun
from descend.units import quoted

IN_THE_RECORDS = {
    "parameters", "steps", "epochs", "train_tokens", "validation_tokens", "validation_loss",
    "validation_accuracy", "best_epoch", "unigram_loss",
}  # fmt: skip
"""Pages tell these from the run itself."""


def describe_metrics(page: str, run: RecordedRun) -> str | None:
    """Return the measurements, a line each; None where the diagnosis took none of them or there is
    none."""
    diagnosis = load_saved_diagnosis(run.folder) if page in PAGE_METRICS else None
    if diagnosis is None:
        return None
    measurements = {e.metric: e for e in diagnosis.measurements}
    lines = [_format_metric_line(measurements[name]) for name in PAGE_METRICS[page]
            if name in measurements and name not in IN_THE_RECORDS]  # fmt: skip
    return "The diagnosis of your run measured:\n\n" + "\n".join(lines) if lines else None


def describe_missing_metrics(run: RecordedRun) -> str:
    """Return what is said where a page lives on what a diagnosis measures, and it did not."""
    if load_saved_diagnosis(run.folder) is None:
        return (
            "A run does not record this by itself: "
            f"`descend diagnose {quoted(run.folder)}` measures it, and this page then tells it."
        )
    return (
        "The diagnosis of your run did not measure it: the text, the model or a checkpoint was "
        "not at hand, or the run is too short for it."
    )


def _format_metric_line(measurement: Evidence) -> str:
    """Return a line: `- dead units 0% of a block's units (normal: under 25%): of the worst
    block`."""
    metric = measurement.metric
    healthy = format_metric_range(metric, measurement.healthy_range)
    gloss = METRIC_DESCRIPTIONS.get(metric)
    return (
        f"- {format_metric(metric, measurement.value, measurement.unit)}"
        + format_ci95(measurement.ci95)
        + (f" (normal: {healthy})" if healthy else "")
        + (f": {gloss}" if gloss else "")
    )
