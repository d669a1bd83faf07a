"""A diagnosis as the page shows it: sentences from `report.text`, numbers for the pictures."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from descend.diagnosis.diagnosis_result import Evidence, Finding, OtherCause, PairedTrial
from descend.diagnosis.metric_text import format_metric_range, format_metric_value, metric_label
from descend.diagnosis.recommended_config import load_diagnosis, merge_recommendations
from descend.diagnosis.trial_reports import TrialReport
from descend.guard import decode_json, read_regular
from descend.handbook.run_notes.diagnosis_notes import reduction_by_change
from descend.report.text.diagnosis_summary import (
    group_other_causes,
    headline,
    states_probability,
)
from descend.units import humanize_name

MAX_TRIAL_BYTES = 2**20
"""Of the file of trials: a thousand of them."""


def diagnosis_fields(folder: Path) -> dict[str, Any]:
    """Return the diagnosis of the run in `folder`; `RunFolderError` if there is none."""
    diagnosis = load_diagnosis(folder)
    causes: list[Finding | OtherCause] = [*diagnosis.causes, *diagnosis.ruled_out]
    trials = [
        _trial(one.cause, one.trial)
        for one in causes
        if one.trial is not None and one.trial.ci95 is not None
    ]
    return {
        "verdict": diagnosis.verdict,
        "headline": headline(diagnosis, says_probability=False),
        "probability": diagnosis.probability if states_probability(diagnosis) else None,
        "causes": [
            {
                "cause": cause.cause, "title": humanize_name(cause.cause),
                "probability": cause.probability, "advice": cause.advice,
                "recommended_config": cause.recommended_config,
                "evidence": [_evidence(e) for e in cause.evidence],
            }
            for cause in diagnosis.causes
        ],
        "trials": sorted(trials, key=lambda trial: -trial["effect"]),
        "others": [
            {"title": title, "causes": [
                {"cause": o.cause, "title": humanize_name(o.cause), "reason": o.reason}
                for o in others
            ]}
            for title, others in group_other_causes(diagnosis)
        ],
        "recommended_config": merge_recommendations(diagnosis),
        "measurements": [
            _evidence(e) for e in diagnosis.measurements if e.healthy_range != (None, None)
        ],
        "warnings": diagnosis.warnings,
        "seconds": diagnosis.cost.seconds,
    }  # fmt: skip


def trial_fields(file: Path) -> list[dict[str, Any]]:
    """Return the trials that the diagnosis wrote into `file` so far, the largest effect first."""
    reports: dict[tuple[str, str], TrialReport] = {}
    try:
        lines = read_regular(file, MAX_TRIAL_BYTES).splitlines(keepends=True)
    except OSError:
        lines = []
    for line in lines:
        if not line.endswith(b"\n"):  # the last one may be on its way
            continue
        with suppress(msgspec.DecodeError):  # damaged, or in the workspace of a stranger
            report = decode_json(line, TrialReport)
            reports[report.cause, report.trial.change] = report
    trials = [_trial(report.cause, report.trial) for report in reports.values()]
    return sorted(trials, key=lambda trial: -trial["effect"])


def _evidence(evidence: Evidence) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(evidence)
    return fields | {
        "title": metric_label(evidence.metric),
        "text": format_metric_value(evidence.metric, evidence.value),
        "range": format_metric_range(evidence.metric, evidence.healthy_range),
    }


def _trial(cause: str, trial: PairedTrial) -> dict[str, Any]:
    effect, interval = reduction_by_change(trial)
    return {
        "cause": cause, "title": humanize_name(cause), "change": trial.change,
        "effect": effect, "ci95": interval,
        "is_significant": bool(trial.is_significant), "seeds": trial.seeds,
    }  # fmt: skip
