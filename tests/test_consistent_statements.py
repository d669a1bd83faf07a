"""Forecast, diagnosis, checklist and summary of one run never contradict each other.

Fifty runs recorded in benchmarks/results/forecast, written down as run folders again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from descend.config import make_config
from descend.diagnosis.run_diagnosis import diagnose_run, save_diagnosis
from descend.forecast.forecast_run import (
    MIN_OVERFIT_NATS,
    Forecast,
    UndeterminedForecast,
    forecast_run,
)
from descend.handbook.checklist import answer_checklist
from descend.report.text.forecast_summary import summarize_forecast
from descend.report.text.run_summary import what_it_means
from descend.runs.event_log import EventLog
from descend.runs.events import Epoch, Step, TrainingStarted, TrainingStopped
from descend.runs.run_files import RunMetadata, RunSummary, write_info, write_summary
from descend.runs.run_folder import read_summary

CURVES = Path(__file__).parents[1] / "benchmarks/results/forecast/curves.jsonl"
RUNS = 50


def write_run(record: dict[str, Any], folder: Path) -> None:
    """The run of `record` as a folder; between its bins there are no steps."""
    run = record["runs"][0]
    config = make_config(record["config"]).model_dump(mode="json")
    config |= {"corpus_dir": "text that is gone", "token_dropout": 0.0}
    resolved = config | {"epoch": run["epochs_planned"], "warmup_steps": run["warmup_steps"]}
    keys = (
        "corpus", "train_tokens", "validation_tokens", "train_bytes", "validation_bytes",
        "ngram_baselines",
    )  # fmt: skip
    corpus = {key: record[key] for key in keys} | {
        "vocab_size": round(math.exp(record["ngram_baselines"]["uniform"])),
        "corpus_sha256": "",
        "documents": 1,
        "split_by": "block",
        "contamination_fraction": 0.0,
    }
    execution = {"device": "cpu", "precision": "float32", "attention": "fused", "threads": 1,
                 "torch": "", "processor": ""}  # fmt: skip
    folder.mkdir()
    write_info(folder, RunMetadata("", "", "fast", config, resolved, execution, corpus, {}))
    log, bins = EventLog(folder), run["bins"]
    log.append(TrainingStarted(0, ""))
    ends = {e["step"]: number for number, e in enumerate(run["epochs"], 1)}
    steps = sorted({max(1, round((n + 1) * run["steps"] / len(bins))) for n in range(len(bins))})
    epochs = []
    rate = make_config(record["config"]).peak_learning_rate
    for step in sorted({*steps, *ends}):
        loss = bins[min(len(bins) - 1, step * len(bins) // (run["steps"] + 1))]
        log.append(Step(step, 1, loss, 0.1, rate, 1.0, False, 0.05))
        if step in ends:
            recorded_epoch = run["epochs"][ends[step] - 1]
            epochs.append(Epoch(
                ends[step], step, bins[0], loss, 0.1, 0.1, recorded_epoch["validation_loss"],
                recorded_epoch["validation_accuracy"], recorded_epoch["bits_per_byte"], 1.0, 1.0,
            ))  # fmt: skip
            log.append(epochs[-1])
    log.append(TrainingStopped(run["steps"], "finished", ""))
    log.close()
    best = min(epochs, key=lambda e: e.validation_loss)
    write_summary(folder, RunSummary(
        str(folder), record["parameters"], run["seconds"], 1.0, epochs, best.epoch,
        best.validation_loss, best.validation_accuracy, best.bits_per_byte,
        record["ngram_baselines"], True, [],
    ))  # fmt: skip


def recorded() -> Iterator[dict[str, Any]]:
    lines = CURVES.read_text().splitlines()
    for line in lines[:: max(1, len(lines) // RUNS)][:RUNS]:
        yield json.loads(line)


def check_forecast(forecast: Forecast, summary: RunSummary) -> None:
    """Its sentence says what its numbers say."""
    sentence = summarize_forecast(forecast)
    low, high = forecast.validation_loss_interval
    now = forecast.validation_loss_now
    assert now is not None
    if "will not help" in sentence or "is expected to rise" in sentence:
        assert low >= now - MIN_OVERFIT_NATS, sentence
    if "Expected loss reduction" in sentence:
        assert high <= now + MIN_OVERFIT_NATS, sentence
    if low < now - MIN_OVERFIT_NATS and high > now + MIN_OVERFIT_NATS:
        assert "Inconclusive" in sentence
    assert not ("No overfitting" in sentence and "overfitting." in sentence)
    if "overfits" in what_it_means(summary):
        assert forecast.effect != "improves", sentence


@pytest.mark.parametrize("record", list(recorded()), ids=lambda r: str(r["number"]))
def test_statements_of_one_run_agree(record: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_run(record, folder)
    summary = read_summary(folder)
    diagnosis = save_diagnosis(diagnose_run(folder, proof=False))
    try:
        forecast = forecast_run(folder)
    except UndeterminedForecast:
        return
    check_forecast(forecast, summary)
    more_steps = diagnosis.verdict == "undertrained" or any(
        "more epochs may help" in note for note in diagnosis.warnings
    )
    assert not (more_steps and forecast.effect == "worsens"), (
        diagnosis.verdict,
        forecast.expected_loss_reduction,
    )
    if "overfits" in what_it_means(summary):
        assert diagnosis.verdict != "undertrained"
    answers = {a.rule: a.answer for a in answer_checklist(folder).answers}
    named = {f.cause for f in diagnosis.causes}
    if "too_little_data" in named:
        assert answers["data"] == "no"
    if "learning_rate_too_low" in named:
        assert answers["learning rate"] == "no"
