"""The recorded curves, and each cut as if only a part of it had been seen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from descend.config import make_config
from descend.forecast.curve_model import Floats, TrajectoryPoints
from descend.forecast.curve_prior import ObservedCurve, RunFeatures
from descend.forecast.trajectory import LossSpans, Trajectory, make_trajectory, observe


@dataclass(frozen=True)
class PartialRun:
    """A part of a run, and what came after it."""

    number: int
    corpus: str
    features: RunFeatures
    observed: ObservedCurve
    ahead: TrajectoryPoints
    """The ends of the epochs after the cut; the last is the end of the run."""
    truth: Floats
    accuracy: Floats
    observed_accuracy: float | None
    spans: LossSpans
    validation_steps: Floats
    steps: int
    epochs: int


def load(file: Path) -> list[dict[str, Any]]:
    """All recorded runs, in order."""
    records = [json.loads(line) for line in file.read_text().splitlines()]
    return sorted(records, key=lambda r: int(r["number"]))


def complete_run(record: dict[str, Any], training_error: float) -> PartialRun:
    """A run of which everything was seen: for learning, not for forecasting."""
    run, trajectory = record["runs"][0], trajectory_of(record, 0)
    spans = spans_of(run)
    return PartialRun(
        number=record["number"], corpus=record["corpus"], features=build_features(record),
        observed=_see(record, trajectory, spans, run["epochs"], training_error),
        ahead=trajectory.points_at(np.array([float(run["steps"])])), truth=np.array([0.0]),
        accuracy=np.array([0.0]), observed_accuracy=None, spans=spans,
        validation_steps=np.array([]), steps=run["steps"], epochs=len(run["epochs"]),
    )  # fmt: skip


def partial_run(record: dict[str, Any], share: float, training_error: float) -> PartialRun | None:
    """The first `share` of a run as seen; None if nothing comes after."""
    run = record["runs"][0]
    trajectory, features = trajectory_of(record, 0), build_features(record)
    cut = int(run["steps"] * share)
    spans = spans_of(run).until(cut)
    done = [e for e in run["epochs"] if e["step"] <= cut]
    ahead = [e for e in run["epochs"] if e["step"] > cut]
    if not ahead or len(spans.ends) < 4:
        return None
    return PartialRun(
        number=record["number"], corpus=record["corpus"], features=features,
        observed=_see(record, trajectory, spans, done, training_error),
        ahead=trajectory.points_at(np.array([float(e["step"]) for e in ahead])),
        truth=np.array([e["validation_loss"] for e in ahead]),
        accuracy=np.array([e["validation_accuracy"] for e in ahead]),
        observed_accuracy=done[-1]["validation_accuracy"] if done else None,
        spans=spans, validation_steps=np.array([float(e["step"]) for e in done]),
        steps=run["steps"], epochs=len(run["epochs"]),
    )  # fmt: skip


def continued_run(record: dict[str, Any], training_error: float) -> PartialRun | None:
    """The whole of a run as seen, and its continuation as what comes after."""
    if len(record["runs"]) < 2:
        return None
    run, more = record["runs"]
    trajectory = trajectory_of(record, 0)
    best = min(run["epochs"], key=lambda e: e["validation_loss"])
    at = trajectory.points_at(np.array([float(best["step"])]))
    on = trajectory_of(record, 1, (float(at.trained[0]), float(at.epochs[0])))
    spans = spans_of(run)
    return PartialRun(
        number=record["number"], corpus=record["corpus"], features=build_features(record),
        observed=_see(record, trajectory, spans, run["epochs"], training_error),
        ahead=on.points_at(np.array([float(e["step"]) for e in more["epochs"]])),
        truth=np.array([e["validation_loss"] for e in more["epochs"]]),
        accuracy=np.array([e["validation_accuracy"] for e in more["epochs"]]),
        observed_accuracy=best["validation_accuracy"],
        spans=spans, validation_steps=np.array([float(e["step"]) for e in run["epochs"]]),
        steps=run["steps"], epochs=len(run["epochs"]),
    )  # fmt: skip


def build_features(record: dict[str, Any]) -> RunFeatures:
    """What the run was."""
    config = record["config"]
    return RunFeatures(
        peak_learning_rate=config["learning_rate"],
        tokens_per_step=record["runs"][0]["tokens_per_step"],
        parameters=record["parameters"],
        train_tokens=record["train_tokens"],
        vocab_size=config["vocab_size"],
        adamw=config["optimizer"] == "adamw",
        dropout=config["dropout_rate"],
        token_dropout=config.get("token_dropout") or 0.0,
        bpe_dropout=config.get("bpe_dropout") or 0.0,
    )


def trajectory_of(
    record: dict[str, Any], index: int, before: tuple[float, float] = (0.0, 0.0)
) -> Trajectory:
    """The trajectory of the run, or (1) of its continuation."""
    run = record["runs"][index]
    config = make_config(record["config"] | {"epoch": run["epochs_planned"]})
    per_step = run["tokens_per_step"]
    per_pass = round(run["steps"] * per_step / run["epochs_planned"])
    return make_trajectory(config, run["warmup_steps"], run["steps"], per_pass, before)


def spans_of(run: dict[str, Any]) -> LossSpans:
    """Training losses as recorded."""
    ends = np.unique(np.linspace(0, run["steps"], len(run["bins"]) + 1).round())[1:]
    return LossSpans(ends, np.array(run["bins"]))


def _see(
    record: dict[str, Any], trajectory: Trajectory, spans: LossSpans, epochs: list[dict[str, Any]],
    training_error: float,
) -> ObservedCurve:  # fmt: skip
    return observe(
        trajectory, spans, np.array([float(e["step"]) for e in epochs]),
        np.array([e["validation_loss"] for e in epochs]),
        start=spans_of(record["runs"][0]).losses[0], scale=record["ngram_baselines"]["unigram"],
        training_error=training_error,
    )  # fmt: skip
