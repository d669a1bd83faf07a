"""The golden rules: answered by trials, left open without them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend.cli.main import run as command_line
from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.causes import CAUSES
from descend.diagnosis.diagnosis_result import (
    Cost,
    diagnosis_seconds,
    larger_trial_budget,
    trial_budget_seconds,
)
from descend.diagnosis.effects import TreatmentEffect
from descend.diagnosis.findings import to_paired_trial
from descend.diagnosis.recommended_config import load_diagnosis
from descend.diagnosis.run_context import load_run_context
from descend.diagnosis.treatments import Treatment
from descend.errors import RunFolderError
from descend.handbook.checklist import RULES, answer_checklist
from descend.report.text.run_summary import checklist_text
from descend.runs.recorded_run import open_run_with_epoch
from descend.units import format_duration


def trial(gain: float, change: str = "twice the width", counts: bool = True) -> dict[str, Any]:
    return {
        "metric": "validation_loss", "change": change, "control_loss": 4.0,
        "treatment_loss": 4.0 - gain, "loss_reduction": gain, "ci95": [gain - 0.05, gain + 0.05],
        "p_holm": 0.5, "seeds": 3, "tokens": 9, "run_fraction": 1.0, "seconds": 2.0,
        "cost_factor": 1.0, "is_significant": counts,
    }  # fmt: skip


@pytest.fixture
def diagnosed(trained: Path, own_folder: Path) -> Path:
    """A run whose rate was found too low by trial, and whose size was cleared by one."""
    folder = own_folder / "run"
    shutil.copytree(trained, folder)
    finding = {
        "cause": "learning_rate_too_low", "probability": 0.9, "evidence": [], "advice": "raise it",
        "recommended_config": {"learning_rate": 0.01},
        "trial": trial(0.4, "3 times the learning rate"),
    }  # fmt: skip
    ruled_out = [
        {"cause": "learning_rate_too_high", "reason": "steps are short"},
        {
            "cause": "model_too_small",
            "reason": "twice the width: no gain",
            "trial": trial(0.01, counts=False),
        },
        {"cause": "batch_too_small", "reason": "batch_is fine"},
        {"cause": "batch_too_large", "reason": "batch_is fine"},
    ]
    content = {
        "run": str(folder), "verdict": "learning_rate_too_low", "probability": 0.9,
        "causes": [finding], "ruled_out": ruled_out, "measurements": [], "warnings": [],
        "cost": {"seconds": 1.0, "fraction_of_run": 0.1},
    }  # fmt: skip
    (folder / "diagnosis.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    "left_open",
    [
        {"is_untested": True},
        {"trial": trial(0.3, "4 times the batch", counts=False) | {"is_inconclusive": True}},
    ],
)
def test_checklist_answer_is_open_when_untested_or_inconclusive(
    diagnosed: Path, left_open: dict[str, Any]
) -> None:
    file = diagnosed / "diagnosis.json"
    content = json.loads(file.read_text())
    other = next(r for r in content["ruled_out"] if r["cause"] == "batch_too_small")
    other |= left_open | {"reason": "nobody knows"}
    file.write_text(json.dumps(content))
    (batch,) = [a for a in answer_checklist(diagnosed).answers if "batch" in a.question.lower()]
    assert batch.answer == "open"
    assert "obody knows" in batch.reason


def test_checklist_rules_use_registered_causes() -> None:
    assert {name for rule in RULES for name in rule.causes} <= {cause.name for cause in CAUSES}
    assert len(RULES) == 5


def test_checklist_without_diagnosis_is_open_and_explains(trained: Path) -> None:
    checklist_result = answer_checklist(trained)
    assert not checklist_result.diagnosed
    assert {(a.answer, a.is_tested) for a in checklist_result.answers} == {("open", False)}
    assert all(a.reason.startswith("Recorded: ") for a in checklist_result.answers)
    assert checklist_result.sentence.startswith("Not diagnosed yet, so all five are open")
    (last,) = [line for line in checklist_text(checklist_result).splitlines() if "diagnose" in line]
    seconds = open_run_with_epoch(trained).estimated_total_seconds
    assert seconds > 0
    assert seconds == pytest.approx(load_run_context(trained).estimated_total_seconds), (
        "as the diagnosis counts it"
    )
    cost = format_duration(diagnosis_seconds(seconds))
    assert (
        f"`descend diagnose {trained}` answers them with test runs of about {cost} in all" in last
    )
    summary = json.loads((trained / "summary.json").read_text())
    assert f"{summary['parameters']:,} parameters" in checklist_result.answers[0].reason


def test_trial_seconds_grow_with_run_length_above_minimum() -> None:
    assert [diagnosis_seconds(full) for full in (1, 15, 30, 600, 10_000)] == [
        60, 60, 120, 180, 1513,
    ]  # fmt: skip
    assert trial_budget_seconds(10_000, 0.5) == 5000
    assert trial_budget_seconds(1, 0.5, min_seconds=2) == 2


def test_with_a_diagnosis_the_trials_answer(diagnosed: Path) -> None:
    size, rate, batch, context, data = answer_checklist(diagnosed).answers
    assert (size.answer, size.is_tested) == ("yes", True)
    assert size.reason == "Twice the width: no gain."
    assert (rate.answer, rate.is_tested) == ("no", True)
    assert "3 times the learning rate ends 0.400 nats better" in rate.reason
    assert "learning_rate = 0.01" in rate.reason
    # Ruled out by a signal alone, and said once: an answer, but no proof.
    assert (batch.answer, batch.is_tested, batch.reason) == ("yes", False, "Batch is fine.")
    assert (context.answer, data.answer) == ("open", "open")
    sentence = answer_checklist(diagnosed).sentence
    assert "1 of 5 answers rest on recorded numbers" in sentence
    assert "Open: context, data." in sentence
    budget = larger_trial_budget(load_diagnosis(diagnosed).cost)
    assert (f"--trial-budget {budget:g}`" if budget else "train longer") in sentence


def test_larger_trial_budget_gives_more_time_than_every_run_is_given() -> None:
    """Half of a run of 50 s is less than the 170 s that its trials have anyway."""
    budget = larger_trial_budget(Cost(68.0, 1.37))
    assert budget is not None
    full = 68.0 / 1.37
    assert trial_budget_seconds(full, budget) >= 2 * trial_budget_seconds(full)
    assert trial_budget_seconds(full, 0.5) == trial_budget_seconds(full)
    assert larger_trial_budget(Cost(1500.0, 0.15)) == 0.3
    assert larger_trial_budget(Cost(60.0, 120.0)) is None


def test_the_advice_follows_from_why_nothing_was_tried(diagnosed: Path) -> None:
    file = diagnosed / "diagnosis.json"
    content = json.loads(file.read_text())
    for one in [*content["causes"], *content["ruled_out"]]:
        one["trial"] = None
    content |= {
        "verdict": "unknown",
        "causes": [],
        "untested_reason": "nothing was tried: hold out more",
    }
    file.write_text(json.dumps(content))
    sentence = answer_checklist(diagnosed).sentence
    assert sentence == "All five are open. Nothing was tried: hold out more."


def test_checklist_answers_from_smaller_significant_effect(diagnosed: Path) -> None:
    file = diagnosed / "diagnosis.json"
    content = json.loads(file.read_text())
    content["ruled_out"].append({
        "cause": "too_little_data", "reason": "half the text costs +0.300 nats: real, but less",
        "trial": trial(0.3, "half the text") | {"treatment_loss": 4.3},
    })  # fmt: skip
    file.write_text(json.dumps(content))
    data = answer_checklist(diagnosed).answers[-1]
    assert (data.answer, data.is_tested) == ("no", True)
    assert data.reason == "Half the text costs +0.300 nats: real, but less."


def test_checklist_names_a_likely_cause_that_no_question_asks_for(diagnosed: Path) -> None:
    file = diagnosed / "diagnosis.json"
    assert "none of the five" not in answer_checklist(diagnosed).sentence
    content = json.loads(file.read_text())
    content["verdict"] = content["causes"][0]["cause"] = "undertrained"
    content["causes"][0]["advice"] = "train longer: epoch = 6"
    file.write_text(json.dumps(content))
    assert answer_checklist(diagnosed).sentence.startswith(
        "The likely cause is none of the five: the model was not trained long enough; train"
        " longer: epoch = 6."
    )


def gain_of(takes_away: bool, mean: float, opposite: float = 1.0) -> TreatmentEffect:
    change = TreatmentChange(
        "a change", {}, is_ablation=takes_away, inverse_effect_fraction=opposite
    )
    treated = 4.0 + mean if takes_away else 4.0 - mean
    return TreatmentEffect(
        Treatment("cause", change, is_costly=True),
        4.0,
        treated,
        mean,
        mean - 0.01,
        mean + 0.01,
        0.005,
        0.001,
        3,
        9,
        1.0,
        1.0,
    )


@pytest.mark.parametrize(
    ("question", "cause", "gain", "answer"),
    [
        ("data", "too_little_data", gain_of(True, 0.4), "no"),
        # Half the text costs much, and more of it would bring nothing: one pass.
        ("data", "too_little_data", gain_of(True, 0.4, opposite=0.0), "yes"),
        ("model size", "model_too_small", gain_of(False, 0.2), "no"),
        # Certain, and less than what is bought must gain (0.12 of a loss of 4).
        ("model size", "model_too_small", gain_of(False, 0.1), "yes"),
    ],
)
def test_checklist_answers_as_the_diagnosis_does(
    diagnosed: Path, question: str, cause: str, gain: TreatmentEffect, answer: str
) -> None:
    file = diagnosed / "diagnosis.json"
    content = json.loads(file.read_text())
    trial_content = msgspec.to_builtins(to_paired_trial(gain, 1.0))
    out = [r for r in content["ruled_out"] if r["cause"] != cause]
    content["ruled_out"] = [*out, {"cause": cause, "reason": "as tried", "trial": trial_content}]
    file.write_text(json.dumps(content))
    rule_answer = {a.rule: a for a in answer_checklist(diagnosed).answers}[question]
    assert (rule_answer.answer, rule_answer.is_tested) == (answer, True)


def test_checklist_answer_is_open_for_outdated_diagnosis(diagnosed: Path) -> None:
    file = diagnosed / "diagnosis.json"
    content = json.loads(file.read_text())
    del content["ruled_out"][1]["trial"]["is_significant"]
    file.write_text(json.dumps(content))
    size = answer_checklist(diagnosed).answers[0]
    assert (size.answer, size.is_tested) == ("open", False)
    assert "older" in size.reason


def test_checklist_uses_effect_at_equal_time(diagnosed: Path) -> None:
    file = diagnosed / "diagnosis.json"
    content = json.loads(file.read_text())
    for equal, answer in ((0.2, "no"), (-0.2, "yes")):
        content["ruled_out"][1]["trial"] = trial(0.4) | {"loss_reduction_at_equal_time": equal}
        file.write_text(json.dumps(content))
        assert answer_checklist(diagnosed).answers[0].answer == answer


def test_checklist_is_open_for_diverged_run(diagnosed: Path) -> None:
    file = diagnosed / "diagnosis.json"
    content = json.loads(file.read_text())
    content |= {"verdict": "diverged", "causes": []}
    file.write_text(json.dumps(content))
    assert {a.answer for a in answer_checklist(diagnosed).answers} == {"open"}


def test_the_verb_prints_lines_or_one_object(
    trained: Path, diagnosed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line(["checklist", str(diagnosed)]) == 0
    out = capsys.readouterr().out
    assert "✗ Is the learning rate right? no, tested" in out
    assert "✓ Is the model big enough? yes, tested" in out
    assert "? Is there enough text? open" in out
    assert command_line(["checklist", str(trained), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [a["rule"] for a in content["answers"]] == [rule.name for rule in RULES]


def test_checklist_rejects_folder_without_run(own_folder: Path) -> None:
    with pytest.raises(RunFolderError, match=r"no run\.json"):
        answer_checklist(own_folder)
