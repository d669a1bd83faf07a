"""A diagnosis names no cause on usual measurements, and rules out nothing that helps more."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from descend import run
from descend.config import RunConfig
from descend.diagnosis import trial_budget
from descend.diagnosis.causes import CAUSES
from descend.diagnosis.diagnosis_result import Finding, OtherCause, PairedTrial, has_trials
from descend.diagnosis.effects import TreatmentEffect
from descend.diagnosis.ranking import is_usual, rank_causes, supporting_evidence
from descend.diagnosis.recommended_config import load_diagnosis
from descend.diagnosis.reference_ranges import REFERENCE_RANGES
from descend.diagnosis.run_context import load_run_context
from descend.diagnosis.run_diagnosis import diagnose_run, save_diagnosis
from descend.diagnosis.verdict import Verdict, decide_verdict, decide_without_trials
from descend.metrics.measurement import Measurement, Measurements
from descend.report.text.diagnosis_summary import (
    AS_LARGE,
    INCONCLUSIVE,
    LESSER,
    OUT,
    SMALL,
    group_other_causes,
)

from .made_effects import gain

TINY = {"embed_dim": 16, "num_heads": 2, "num_layers": 1, "ff_dim": 32, "seq_len": 16,
         "max_seq_len": 32, "batch_size": 16, "vocab_size": 300, "epoch": 1, "device": "cpu",
         "precision": "float32", "learning_rate": 0.0001, "log_level": "error"}  # fmt: skip
CONFIG = RunConfig(vocab_size=2048, epoch=3, warmup_steps=0, schedule="constant")


def measurements_of(**values: float) -> Measurements:
    return {name: Measurement(name, value, "") for name, value in values.items()}


def test_evidence_is_never_a_usual_measurement() -> None:
    num_evidence = 0
    for cause in CAUSES:
        for expected in cause.expected_ranges:
            low, high = REFERENCE_RANGES.get(expected.metric, (None, None))
            for value in {expected.low, expected.high, low, high} - {None}:
                evidence = supporting_evidence(cause, measurements_of(**{expected.metric: value}))  # type: ignore[dict-item]
                num_evidence += len(evidence)
                for e in evidence:
                    assert not is_usual(Measurement(e.metric, e.value, ""))
    assert num_evidence > 5


def test_decide_without_trials_names_no_cause_when_metrics_are_usual() -> None:
    usual = measurements_of(critical_step_multiplier_fresh=5.19)  # usual is 0.5 to 6
    decision = decide_without_trials(rank_causes(CAUSES, CONFIG, usual), usual)
    assert "learning_rate_too_low" not in [decision.verdict, *(f.cause for f in decision.findings)]
    slow = measurements_of(critical_step_multiplier_fresh=40.0, update_to_weight_ratio=0.0005)
    assert (
        decide_without_trials(rank_causes(CAUSES, CONFIG, slow), slow).verdict
        == "learning_rate_too_low"
    )


def trial(gain: float, *, counts: bool | None = True, inconclusive: bool = False) -> PairedTrial:
    return PairedTrial(
        metric="nats", change="a change", control_loss=4.0, treatment_loss=4.0 - gain,
        loss_reduction=gain, ci95=(gain - 0.1, gain + 0.1), p_holm=0.01, seeds=3,
        tokens=1000, run_fraction=1.0, seconds=1.0,
        cost_factor=1.0, is_significant=counts, is_inconclusive=inconclusive,
    )  # fmt: skip


def out(cause: str, gain: float, *, counts: bool = False, inconclusive: bool = False) -> OtherCause:
    return OtherCause(
        cause=cause, reason="", trial=trial(gain, counts=counts, inconclusive=inconclusive)
    )  # fmt: skip


def test_an_effect_larger_than_the_named_one_is_not_ruled_out(trained: Path) -> None:
    diagnosis = msgspec.structs.replace(
        diagnose_run(trained, proof=False),
        verdict="batch_too_large",
        causes=[
            Finding(
                cause="batch_too_large",
                probability=0.6,
                evidence=[],
                recommended_config={},
                advice="",
                trial=trial(0.2),
            )
        ],
        ruled_out=[
            out("model_too_small", 0.5, counts=True),
            out("bad_schedule", 0.1, counts=True),
            out("context_too_short", 0.3),
            out("learning_rate_too_low", 0.01),
        ],
    )
    groups = {title: [r.cause for r in some] for title, some in group_other_causes(diagnosis)}
    assert groups == {
        AS_LARGE: ["model_too_small"],
        LESSER: ["bad_schedule"],
        INCONCLUSIVE: ["context_too_short"],
        OUT: ["learning_rate_too_low"],
    }


def verdict(*gains: TreatmentEffect) -> Verdict:
    ranked_causes = rank_causes(CAUSES, CONFIG, {})
    return decide_verdict(
        ranked_causes, {}, gains, {g.treatment.cause: {"batch_size": 3} for g in gains}, 1.0
    )


def test_verdict_recommends_the_larger_effect_when_two_are_significant() -> None:
    # The larger one is less certain, so that the smaller one is drawn as the best more often.
    larger, smaller = gain("bad_schedule", 0.31, 0.13), gain("batch_too_large", 0.30, 0.005)
    decision = verdict(larger, smaller)
    assert decision.best_effect is not None
    assert decision.best_effect.treatment.cause == decision.verdict == "bad_schedule"
    chances = {f.cause: f.probability for f in decision.findings}
    assert chances["bad_schedule"] < chances["batch_too_large"]


def test_of_what_helps_less_it_is_said_and_of_what_costs_more_too() -> None:
    first = gain("batch_too_large", 0.3, 0.01)
    reasons = {r.cause: r.reason for r in verdict(first, gain("bad_schedule", 0.1, 0.01)).ruled_out}
    assert reasons["bad_schedule"].endswith("it helps, but another change helps more")
    slow = replace(gain("bad_schedule", 0.34, 0.01), cost_factor=4.0)
    slow = replace(slow, treatment=replace(slow.treatment, is_costly=True))
    reasons = {r.cause: r.reason for r in verdict(first, slow).ruled_out}
    assert reasons["bad_schedule"].endswith("it helps, and costs 4.0 times the training time")


def test_a_diagnosis_without_trials_does_not_replace_one_with_them(
    trained: Path, own_folder: Path
) -> None:
    folder = own_folder / "run"
    shutil.copytree(trained, folder)
    read_only = diagnose_run(folder, proof=False)
    assert not has_trials(read_only)
    save_diagnosis(read_only)
    proved = msgspec.structs.replace(read_only, ruled_out=[out("bad_schedule", 0.0)])
    assert has_trials(proved)
    save_diagnosis(proved)
    stored = save_diagnosis(read_only)
    assert load_diagnosis(folder) == proved
    assert any("diagnosis.json keeps the earlier one" in note for note in stored.warnings)
    assert save_diagnosis(proved) == proved


@pytest.mark.slow
def test_two_diagnoses_in_a_row_give_the_same_verdict(
    chain: str, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_budget, "MAX_WALL_RATIO", 1000.0)  # other programs take no part
    folder = own_folder / "run"
    run(TINY | {"corpus_dir": chain, "save_dir": str(folder)})
    first, second = (diagnose_run(folder, min_seconds=8.0) for _ in range(2))
    assert has_trials(first)
    assert (first.verdict, first.probability) == (second.verdict, second.probability)
    assert first.causes == second.causes
    assert first.ruled_out == second.ruled_out


def test_what_helped_too_little_is_not_called_ruled_out(trained: Path) -> None:
    helped, hurt = out("model_too_small", 0.1), out("bad_schedule", -0.1)
    assert helped.trial is not None
    few = msgspec.structs.replace(helped.trial, is_significant=False, ci95=(0.05, 0.15))
    none = msgspec.structs.replace(helped.trial, is_significant=False, ci95=(-0.3, -0.1))
    diagnosis = msgspec.structs.replace(
        diagnose_run(trained, proof=False),
        causes=[],
        ruled_out=[
            msgspec.structs.replace(helped, trial=few),
            msgspec.structs.replace(hurt, trial=none),
        ],
    )
    groups = {
        title: [other.cause for other in others] for title, others in group_other_causes(diagnosis)
    }
    assert groups == {SMALL: ["model_too_small"], OUT: ["bad_schedule"]}


def test_a_run_whose_model_is_lost_is_diagnosed_from_its_checkpoint(
    trained: Path, own_folder: Path
) -> None:
    folder = own_folder / "run"
    shutil.copytree(trained, folder)
    (folder / "model.safetensors").unlink()
    context = load_run_context(folder)
    assert context.finished
    diagnosis = diagnose_run(folder, proof=False)
    assert any(e.metric == "measured_validation_loss" for e in diagnosis.measurements)
