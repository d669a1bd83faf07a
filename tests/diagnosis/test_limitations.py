"""What a diagnosis says where nothing could be tried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend import run
from descend.diagnosis.causes import CAUSES
from descend.diagnosis.diagnosis_result import (
    Cost,
    Diagnosis,
    Evidence,
    Finding,
    OtherCause,
    PairedTrial,
    has_trials,
)
from descend.diagnosis.limitations import describe_normal_run, describe_unexplained_gap
from descend.diagnosis.run_diagnosis import diagnose_run
from descend.diagnosis.verdict import Verdict
from descend.metrics.measurement import Measurement
from descend.report.text.diagnosis_summary import format_diagnosis, headline

TRIAL = PairedTrial(
    metric="",
    change="",
    control_loss=4.0,
    treatment_loss=4.0,
    loss_reduction=0.0,
    ci95=(-0.1, 0.1),
    p_holm=1,
    seeds=3,
    tokens=1,
    run_fraction=1.0,
    seconds=1.0,
    cost_factor=1.0,
)


def healthy(trial: PairedTrial | None, probability: float = 0.6) -> Diagnosis:
    out = OtherCause(cause="undertrained", reason="no gain", trial=trial)
    return Diagnosis(run="", verdict="healthy", probability=probability, causes=[], ruled_out=[out],
                     measurements=[], warnings=[], cost=Cost(1.0, 0.1))  # fmt: skip


def test_headline_does_not_claim_untested_changes_are_ineffective() -> None:
    assert "no tested change lowers the loss" in headline(healthy(TRIAL))
    text = headline(healthy(None))
    assert "The metrics show no problem." in text
    assert "No trials were run" in text
    assert "60% sure" in text
    assert "change" not in text
    unclear = headline(healthy(None, 0.36))
    assert "cannot rule one out without trials" in unclear
    assert "sure" not in unclear


def test_undetermined_cause_has_no_stated_confidence() -> None:
    undetermined = msgspec.structs.replace(healthy(TRIAL), verdict="unknown", probability=0.93)
    assert headline(undetermined) == "No cause could be determined."


def test_diagnosis_text_lists_evidence_once() -> None:
    evidence = [
        Evidence("train_tokens", 7550.0, "tokens", (None, None), "very little text"),
        Evidence("update_to_weight_ratio", 0.00062649, "of the weight", (0.002, 0.03), "small"),
        Evidence("epochs", 60.0, "epochs", (None, 4.0), "many of them"),
    ]
    one = Finding(
        cause="too_little_data",
        probability=0.5,
        evidence=evidence,
        recommended_config={},
        advice="more text",
    )
    text = format_diagnosis(msgspec.structs.replace(healthy(None), verdict=one.cause, causes=[one]))
    assert "train tokens 7,550: very little text;" in text
    assert "update to weight ratio 0.000626 of the weight (normal: 0.002 to 0.03)" in text
    assert "epochs 60 (normal: under 4): many of them." in text
    for cause in CAUSES:
        for expected in cause.expected_ranges:
            assert expected.reason not in (
                "passes over the text",
                expected.metric.replace("_", " "),
            )


@pytest.mark.parametrize(("hits", "expected", "said"), [
    (0.22, 0.23, "correctly 22% of the time. It gives its guesses a probability of 23% on "
     "average, close to its accuracy."),
    (0.23, 0.01, "a probability of 1.0% on average, so it is underconfident."),
    (0.04, 0.003, "a probability of 0.3% on average, so it is underconfident."),
    (0.2, 0.6, "a probability of 60% on average, so it is overconfident."),
])  # fmt: skip
def test_diagnosis_text_compares_accuracy_with_confidence(
    hits: float, expected: float, said: str
) -> None:
    values = {"validation_accuracy": hits, "mean_confidence": expected, "best_ngram_loss": 3.0,
              "measured_validation_loss": 2.0}  # fmt: skip
    measurements = [Evidence(name, value, "", (None, None), "") for name, value in values.items()]
    assert said in format_diagnosis(
        msgspec.structs.replace(healthy(None), measurements=measurements)
    )


@pytest.fixture
def falling(tiny: dict[str, Any]) -> Path:
    """A run of one short pass, ended while its loss fell fast."""
    run(tiny | {"save_dir": "falling", "epoch": 2, "learning_rate": 0.003})
    return Path("falling")


def test_limitations_explain_too_small_validation_set(falling: Path) -> None:
    diagnosis = diagnose_run(falling)
    assert not has_trials(diagnosis)
    assert diagnosis.untested_reason in diagnosis.warnings
    assert diagnosis.untested_reason is not None
    assert "--validation-fraction" in diagnosis.untested_reason
    assert "--no-trials" in (diagnose_run(falling, proof=False).untested_reason or "")
    text = format_diagnosis(msgspec.structs.replace(diagnosis, verdict="healthy"))
    assert "no tested change" not in text


def test_falling_loss_is_reported_when_more_steps_untested() -> None:
    def describe_loss_drop(fell: float, untested_reason: str | None) -> list[str]:
        return describe_normal_run(
            {"last_epoch_loss_reduction": Measurement("last_epoch_loss_reduction", fell, "nats")},
            Path("run"),
            untested_reason,
        )

    assert "descend forecast run" in describe_loss_drop(0.1, "no trials were made")[0]
    assert describe_loss_drop(0.1, None) == describe_loss_drop(0.0, "no trials were made") == []


def test_a_model_that_counting_beats_is_sent_to_improve() -> None:
    numbers = {
        "gap_to_ngram_nats": 0.69, "measured_validation_loss": 4.9, "best_ngram_loss": 4.21,
        "generalization_gap_nats": 2.03,
    }  # fmt: skip
    measurements = {name: Measurement(name, value, "nats") for name, value in numbers.items()}
    tested: dict[str, Any] = {"bad_schedule": None}
    verdict = Verdict("unknown", 0.85, [], [], None, best=tested)
    lines = describe_unexplained_gap(verdict, measurements, Path("models/a run"))
    assert "more text of the same kind" in lines[0]
    assert "4.21 nats against 4.90" in lines[1]
    assert "`descend improve 'models/a run' --minutes 10`" in lines[1]
    near = measurements | {"gap_to_ngram_nats": Measurement("gap_to_ngram_nats", 0.1, "nats")}
    assert describe_unexplained_gap(verdict, near, Path("a")) == []
    healthy_verdict = Verdict("healthy", 0.8, [], [], None, best=tested)
    assert describe_unexplained_gap(healthy_verdict, measurements, Path("a")) == []
