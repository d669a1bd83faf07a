"""A diagnosis names no cause on usual readings, and rules out nothing that helps more."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import msgspec

from descend.config import RunConfig
from descend.doctor.case import open_case
from descend.doctor.cause import Change
from descend.doctor.causes import CAUSES
from descend.doctor.consult import consult, keep
from descend.doctor.diagnosis import Finding, RuledOut, Trial, tried
from descend.doctor.gains import Gain
from descend.doctor.healthy import HEALTHY
from descend.doctor.lanes import Lane
from descend.doctor.prescription import read_diagnosis
from descend.doctor.reading import Reading, Readings
from descend.doctor.suspicion import evidence, is_usual, suspects
from descend.doctor.verdict import Judged, judge, judge_unproved
from descend.report.diagnosis import AS_LARGE, LESSER, OUT, UNDECIDED, sorted_out

CONFIG = RunConfig(vocab_size=2048, epoch=3, warmup_steps=0, schedule="constant")


def readings(**values: float) -> Readings:
    return {name: Reading(name, value, "") for name, value in values.items()}


def test_evidence_is_never_a_usual_reading() -> None:
    told = 0
    for cause in CAUSES:
        for expected in cause.expects:
            low, high = HEALTHY.get(expected.signal, (None, None))
            for value in {expected.low, expected.high, low, high} - {None}:
                found = evidence(cause, readings(**{expected.signal: value}))  # type: ignore[dict-item]
                told += len(found)
                for e in found:
                    assert not is_usual(Reading(e.signal, e.value, ""))
    assert told > 5


def test_no_cause_is_named_on_usual_readings_alone() -> None:
    usual = readings(multiplier_fresh=5.19)  # usual is 0.5 to 6
    judged = judge_unproved(suspects(CAUSES, CONFIG, usual), usual)
    assert "learning_rate_too_low" not in [judged.verdict, *(f.cause for f in judged.findings)]
    slow = readings(multiplier_fresh=40.0, update_ratio=0.0005)
    assert judge_unproved(suspects(CAUSES, CONFIG, slow), slow).verdict == "learning_rate_too_low"


def trial(gain: float, *, counts: bool | None = True, undecided: bool = False) -> Trial:
    return Trial(
        metric="nats", change="a change", control=4.0, treated=4.0 - gain, gain=gain,
        ci95=(gain - 0.1, gain + 0.1), p_holm=0.01, seeds=3, tokens=1000, share_of_run=1.0,
        seconds=1.0, cost_factor=1.0, counts=counts, undecided=undecided,
    )  # fmt: skip


def out(cause: str, gain: float, *, counts: bool = False, undecided: bool = False) -> RuledOut:
    return RuledOut(
        cause=cause, because="", trial=trial(gain, counts=counts, undecided=undecided)
    )  # fmt: skip


def test_an_effect_larger_than_the_named_one_is_not_ruled_out(trained: Path) -> None:
    diagnosis = msgspec.structs.replace(
        consult(trained, proof=False),
        verdict="batch_too_large",
        causes=[Finding(cause="batch_too_large", probability=0.6, evidence=[], prescription={},
                        remedy="", trial=trial(0.2))],
        ruled_out=[
            out("model_too_small", 0.5, counts=True), out("bad_schedule", 0.1, counts=True),
            out("context_too_short", 0.3), out("learning_rate_too_low", 0.01),
        ],
    )  # fmt: skip
    groups = {title: [r.cause for r in some] for title, some in sorted_out(diagnosis)}
    assert groups == {
        AS_LARGE: ["model_too_small"], LESSER: ["bad_schedule"], UNDECIDED: ["context_too_short"],
        OUT: ["learning_rate_too_low"],
    }  # fmt: skip


def gain(cause: str, mean: float, error: float) -> Gain:
    return Gain(
        lane=Lane(cause, Change(cause, {"batch_size": 3}), False), control=4.0,
        treated=4.0 - mean, mean=mean, low=mean - 2 * error, high=mean + 2 * error, error=error,
        p=0.001, seeds=3, tokens=1000, seconds=1.0, cost_factor=1.0,
    )  # fmt: skip


def verdict(*gains: Gain) -> Judged:
    found = suspects(CAUSES, CONFIG, {})
    return judge(found, {}, gains, {g.lane.cause: {"batch_size": 3} for g in gains}, 1.0)


def test_of_two_proved_remedies_the_larger_effect_is_prescribed() -> None:
    # The larger one is less certain, so that the smaller one is drawn as the best more often.
    larger, smaller = gain("bad_schedule", 0.31, 0.13), gain("batch_too_large", 0.30, 0.005)
    judged = verdict(larger, smaller)
    assert judged.winner is not None
    assert judged.winner.lane.cause == judged.verdict == "bad_schedule"
    chances = {f.cause: f.probability for f in judged.findings}
    assert chances["bad_schedule"] < chances["batch_too_large"]


def test_of_what_helps_less_it_is_said_and_of_what_costs_more_too() -> None:
    first = gain("batch_too_large", 0.3, 0.01)
    because = {
        r.cause: r.because for r in verdict(first, gain("bad_schedule", 0.1, 0.01)).ruled_out
    }
    assert because["bad_schedule"].endswith("it helps, but another change helps more")
    slow = replace(gain("bad_schedule", 0.34, 0.01), cost_factor=4.0)
    slow = replace(slow, lane=replace(slow.lane, buys=True))
    because = {r.cause: r.because for r in verdict(first, slow).ruled_out}
    assert because["bad_schedule"].endswith("it helps, and costs 4.0 times the training time")


def test_a_diagnosis_without_trials_does_not_replace_one_with_them(
    trained: Path, own_folder: Path
) -> None:
    folder = own_folder / "run"
    shutil.copytree(trained, folder)
    read_only = consult(folder, proof=False)
    assert not tried(read_only)
    keep(read_only)
    proved = msgspec.structs.replace(read_only, ruled_out=[out("bad_schedule", 0.0)])
    assert tried(proved)
    keep(proved)
    said = keep(read_only)
    assert read_diagnosis(folder) == proved
    assert any("diagnosis.json keeps the earlier one" in note for note in said.notes)
    assert keep(proved) == proved


def test_a_run_whose_model_is_lost_is_diagnosed_from_its_checkpoint(
    trained: Path, own_folder: Path
) -> None:
    folder = own_folder / "run"
    shutil.copytree(trained, folder)
    (folder / "model.safetensors").unlink()
    case = open_case(folder)
    assert case.finished
    found = consult(folder, proof=False)
    assert any(e.signal == "held_out_loss" for e in found.readings)
