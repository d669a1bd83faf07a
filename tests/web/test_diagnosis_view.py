"""What the page shows of a diagnosis."""

from __future__ import annotations

from pathlib import Path

import msgspec

from descend.diagnosis.diagnosis_result import (
    Cost,
    Diagnosis,
    Evidence,
    OtherCause,
    PairedTrial,
)
from descend.diagnosis.trial_reports import TrialReport
from descend.runs.run_files import write_diagnosis
from descend.web.studio.diagnosis_view import diagnosis_fields, trial_fields

HALF = PairedTrial(
    metric="", change="half the text", control_loss=4.0, treatment_loss=4.06, loss_reduction=0.06,
    ci95=(-0.02, 0.14), p_holm=1.0, seeds=1, tokens=1, run_fraction=0.5, seconds=1.0,
    cost_factor=1.0,
)  # fmt: skip


def test_diagnosis_fields_give_percent_and_the_direction_of_a_change(tmp_path: Path) -> None:
    rare = Evidence(
        metric="rare_token_fraction", value=0.345, unit="of the tokens in use",
        healthy_range=(None, 0.3), reason="",
    )  # fmt: skip
    diagnosis = Diagnosis(
        run=str(tmp_path), verdict="unknown", probability=0.5, causes=[],
        ruled_out=[OtherCause(cause="too_little_data", reason="it may be chance", trial=HALF)],
        measurements=[rare], warnings=[], cost=Cost(1.0, 0.1),
    )  # fmt: skip
    write_diagnosis(tmp_path, msgspec.json.encode(diagnosis))
    fields = diagnosis_fields(tmp_path)
    (measured,) = fields["measurements"]
    assert (measured["text"], measured["range"]) == ("34.5%", "under 30%")
    (trial,) = fields["trials"]
    assert trial["change"] == "half the text"
    assert trial["effect"] == -0.06
    assert list(trial["ci95"]) == [-0.14, 0.02]


def test_trial_fields_leave_out_lines_that_are_damaged_or_half_written(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    whole = msgspec.json.encode(TrialReport(cause="too_little_data", trial=HALF)) + b"\n"
    too_long = whole.replace(b'"tokens":1', b'"tokens":1' + b"0" * 400)
    damaged = [b"{}\n", b"\xff\n", b"[" * 500 + b"\n", too_long]
    file.write_bytes(b"".join(damaged) + whole + whole[:40])
    assert [row["cause"] for row in trial_fields(file)] == ["too_little_data"]
    assert trial_fields(tmp_path / "missing.jsonl") == []
