"""A diagnosis, an improvement, and many runs as records with made-up numbers, to look at them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from descend.diagnosis.diagnosis_result import (
    Cost,
    Diagnosis,
    Evidence,
    Finding,
    OtherCause,
    PairedTrial,
)
from descend.diagnosis.run_diagnosis import save_diagnosis
from descend.experiments.improvement import (
    Contribution,
    ExpectedResult,
    Improvement,
    Origin,
    TrainedModel,
    contributions,
    save,
)


def make_trial(change: str, effect: float, half: float, *, is_significant: bool) -> PairedTrial:
    return PairedTrial(
        metric="validation loss", change=change, control_loss=5.0, treatment_loss=5.0 - effect,
        loss_reduction=effect, ci95=(effect - half, effect + half), p_holm=0.01, seeds=3,
        tokens=40_000, run_fraction=0.5, seconds=12.0, cost_factor=1.0,
        is_significant=is_significant,
    )  # fmt: skip


def write_made_diagnosis(run: Path) -> None:
    """Write a diagnosis that names a low learning rate into the folder of `run`."""
    ratio = Evidence("update_to_weight_ratio", 0.0004, "", (0.002, 0.03), "the weights hardly move")
    step = Evidence("critical_step_multiplier_fresh", 40.0, "times", (0.5, 6.0), "longer steps fit")
    gap = Evidence("generalization_gap_nats", 0.02, "nats", (None, 0.3), "")
    save_diagnosis(Diagnosis(
        run=str(run), verdict="learning_rate_too_low", probability=0.97,
        causes=[Finding(
            cause="learning_rate_too_low", probability=0.97, evidence=[ratio, step],
            recommended_config={"learning_rate": 0.001}, advice="raise the learning rate",
            trial=make_trial("30 times the learning rate", 1.2, 0.08, is_significant=True),
        )],
        ruled_out=[
            OtherCause(cause="model_too_small", reason="twice the width gains little",
                       trial=make_trial("twice the width", 0.05, 0.09, is_significant=False)),
            OtherCause(cause="over_regularized", reason="no dropout costs",
                       trial=make_trial("no dropout", -0.1, 0.05, is_significant=False)),
        ],
        measurements=[ratio, step, gap], warnings=["each trial: 40,000 tokens"],
        cost=Cost(70.0, 2.0),
    ))  # fmt: skip


def make_model(run: str, origin: Origin, value: float, seconds: float) -> TrainedModel:
    return TrainedModel(
        run=run, origin=origin, changes={}, bits_per_byte=value, predicted=None, seconds=50,
        elapsed_seconds=seconds, pieces=[value - 0.02, value, value + 0.02, value + 0.01],
    )  # fmt: skip


def write_made_improvement(folder: Path, run: str) -> None:
    """Write an improvement with two better models into `folder`."""
    models = [
        make_model(run, "your run", 2.41, 6), make_model("i/model_1", "planned", 2.12, 80),
        make_model("i/model_2", "treated", 2.05, 170),
    ]  # fmt: skip
    effects = [
        Contribution(reason=name, changes={"x": 1}, gain=gain, ci95=(gain - 0.02, gain + 0.02),
                     measured_by="short trial without it", seconds=5.0)
        for name, gain in (("optimizer", 0.12), ("size", 0.06), ("schedule", 0.01))
    ]  # fmt: skip
    forecast = [
        ExpectedResult(seconds=s, bits_per_byte=2.0 + 12 / (s + 20),
                       interval=(1.94 + 11 / (s + 20), 2.06 + 14 / (s + 20)))
        for s in (30, 45, 60, 90, 120, 150, 180)
    ]  # fmt: skip
    whole = Improvement(source=run, corpus="stories", candidates=models)
    save(
        Improvement(
            source=run, corpus="stories", candidates=models, contributions=contributions(whole),
            setting_effects=effects, forecast=forecast, stopped="the time is up", seconds=176.0,
        ),
        folder,
    )  # fmt: skip


def write_many_runs(source: Path, folder: Path, count: int) -> None:
    """Write `count` finished runs into `folder`: copies of `source` whose settings and results
    differ, without the weights."""
    for number in range(1, count + 1):
        run = folder / f"sweep-{number}"
        run.mkdir(parents=True)
        shutil.copyfile(source / "events.jsonl", run / "events.jsonl")
        for name, change in (("run.json", change_settings), ("summary.json", change_results)):
            record = json.loads((source / name).read_text())
            record.pop("sha256")  # an edited one has none
            change(record, number)
            (run / name).write_text(json.dumps(record))


def change_settings(record: dict[str, Any], number: int) -> None:
    """Another rate, batch size, and moment for each run."""
    keys = {"learning_rate": 0.0003 * 2 ** (number % 5), "batch_size": 4 * 2 ** (number % 3)}
    record["requested_config"] |= keys
    record["resolved_config"] |= keys
    record["saved_at"] = f"2026-03-{1 + number // 10:02}T{8 + number % 10:02}:15:00+00:00"


def change_results(record: dict[str, Any], number: int) -> None:
    """Results that follow the rate, as those of a real sweep do."""
    worse = 0.06 * abs(number % 5 - 2) + 0.03 * abs(number % 3 - 1) + 0.0007 * number
    for epoch in record["epochs"]:
        epoch["bits_per_byte"] += worse
        epoch["validation_loss"] += worse
        epoch["validation_accuracy"] *= 1 - worse
    record["bits_per_byte"] += worse
    record["validation_loss"] += worse
    record["validation_accuracy"] *= 1 - worse
    record["seconds"] *= 1 + 0.2 * (number % 3)
