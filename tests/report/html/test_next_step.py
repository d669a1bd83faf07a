"""What a report says to do next, and that its gains are those of the change itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend import run
from descend.diagnosis.diagnosis_result import Cost, Diagnosis, Finding, PairedTrial
from descend.diagnosis.ranking import evidence_of
from descend.errors import DivergedError
from descend.metrics.measurement import Measurement
from descend.report.html.rendering import render
from descend.report.html.report_page import Figure, ReportTable, TableColumn
from descend.report.html.run_report import run_report
from descend.report.html.sections.diagnosis_findings import diagnosis_section
from descend.report.html.write import write_report
from descend.report.text.next_step import (
    choose_next_step,
    choose_step_after_training,
    format_next_step,
)
from descend.report.text.run_summary import MIN_LOSS_DIFFERENCE_NATS
from descend.runs.recorded_run import open_recorded_run
from descend.runs.run_files import REPORT
from descend.runs.suggestions import describe_next_step


def trial(change: str, control: float, treated: float, reduction: float) -> PairedTrial:
    return PairedTrial(
        metric="validation_loss", change=change, control_loss=control, treatment_loss=treated,
        loss_reduction=reduction, ci95=(reduction - 0.25, reduction + 0.5), p_holm=0.01, seeds=2,
        tokens=100, run_fraction=1.0, seconds=1.0, cost_factor=1.0,
    )  # fmt: skip


def diagnosis(*causes: Finding) -> Diagnosis:
    return Diagnosis(
        run="a run", verdict=causes[0].cause, probability=0.9, causes=list(causes), ruled_out=[],
        measurements=[], warnings=[], cost=Cost(1.0, 1.0),
    )  # fmt: skip


LITTLE_TEXT = Finding(
    cause="too_little_data", probability=0.9, evidence=[], recommended_config={},
    advice="get more text.", trial=trial("half the text", 4.0, 5.0, 1.0),
)  # fmt: skip
LARGE_VOCABULARY = Finding(
    cause="vocabulary_too_large", probability=0.8, evidence=[],
    recommended_config={"vocab_size": 257}, advice="use a smaller vocabulary",
    trial=trial("a vocabulary of 257", 4.0, 3.75, 0.25),
)  # fmt: skip


def test_gain_of_half_the_text_is_a_loss() -> None:
    section = diagnosis_section(diagnosis(LITTLE_TEXT, LARGE_VOCABULARY))
    figure = next(b for b in section.blocks if isinstance(b, Figure))
    # Better is right of zero: the vocabulary gains, half the text costs as much as it does.
    assert figure.option["yAxis"]["data"] == ["a vocabulary of 257", "half the text"]
    points = next(s["data"] for s in figure.option["series"] if s["type"] == "scatter")
    assert points == [[0.25, 0], [-1.0, 1]]
    assert figure.option["xAxis"]["name"].endswith("better →")
    table = next(b for b in section.blocks if isinstance(b, ReportTable) and len(b.rows) == 2)
    assert table.rows[1][2:4] == ("-1.000", "-1.500 to -0.750")


def test_next_step_follows_diagnosis(trained: Path) -> None:
    opened = open_recorded_run(trained)
    assert choose_next_step(opened, diagnosis(LITTLE_TEXT)).action == "get more text"
    both = describe_next_step(choose_next_step(opened, diagnosis(LITTLE_TEXT, LARGE_VOCABULARY)))
    advice = "get more text; meanwhile apply the recommended change (vocab_size = 257) with `"
    assert both.startswith(advice + "descend train --from-run")
    line = format_next_step(choose_next_step(opened, diagnosis(LARGE_VOCABULARY)))
    assert line == f"next: descend train --from-run {trained} --apply-fix"
    assert "descend generate" in (choose_next_step(opened).command or "")


def test_next_step_where_no_cause_is_proved_is_to_improve(trained: Path) -> None:
    unknown = msgspec.structs.replace(diagnosis(LARGE_VOCABULARY), verdict="unknown", causes=[])
    step = choose_next_step(open_recorded_run(trained), unknown)
    assert step.command == f"descend improve {trained} --minutes 10"


def test_next_step_after_little_learning_is_that_of_the_terminal(trained: Path) -> None:
    opened = open_recorded_run(trained)
    loss = opened.ngram_baselines["unigram"] - 0.5 * MIN_LOSS_DIFFERENCE_NATS
    summary = msgspec.structs.replace(opened.summary, validation_loss=loss)
    step = choose_step_after_training(trained, summary)
    assert step.command == f"descend diagnose {trained}"
    assert choose_next_step(opened.with_parts(summary=summary)) == step


def test_diverged_report_suggests_no_command_that_needs_a_model(tiny: dict[str, Any]) -> None:
    with pytest.raises(DivergedError):
        run(tiny | {"learning_rate": 10.0, "optimizer": "adamw", "architecture": "gpt",
                    "gradient_clip": 0.0, "warmup_steps": 0, "save_dir": "astray",
                    "divergence_rollback": "off"})  # fmt: skip
    write_report(Path("astray"))
    text = (Path("astray") / REPORT).read_text()
    assert "Next: train again at a lower rate" in text
    assert "generate" not in text.replace("</span>", "").replace("<span>", "").split("<main>")[1]


def test_copies_are_removed_before_anything_else(trained: Path) -> None:
    run = open_recorded_run(trained)
    corpus = run.metadata.corpus | {"contamination_fraction": 0.73}
    copied = msgspec.structs.replace(run.metadata, corpus=corpus)
    step = choose_step_after_training(trained, run.summary, copied)
    assert step.command is not None
    assert step.command.startswith("descend corpus add ")
    assert step.command.endswith("_without_copies --deduplicate near")
    assert choose_step_after_training(trained, run.summary, run.metadata) != step


def test_evidence_carries_range_of_the_optimizer() -> None:
    ranges = {
        optimizer: evidence_of(
            Measurement("update_to_weight_ratio", 0.001, "", optimizer=optimizer), ""
        ).healthy_range
        for optimizer in ("muon", "adamw")
    }
    assert ranges["muon"] != ranges["adamw"]
    assert ranges["adamw"][0] is not None
    assert ranges["adamw"][0] < 0.001  # Karpathy's value for AdamW is usual for it


def test_only_tables_with_sentences_become_lists() -> None:
    columns = (TableColumn("a", False), TableColumn("b", False))
    assert not ReportTable("t", columns, (("x y z u v w", "3 s"),)).has_prose
    assert ReportTable("t", columns, (("x", "this is a whole short sentence"),)).has_prose


def test_numbers_are_tied_to_their_percent_sign(trained: Path) -> None:
    html = render(run_report(open_recorded_run(trained)))
    body = html[html.index("<main>") : html.index("</main>")]
    assert "0 %" not in body
    assert "5 %" not in body
