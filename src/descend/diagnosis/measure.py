"""From a run to its measurements: which metrics are taken, and on how much.

Everything here costs at most a few forward passes over some ten thousand tokens.
"""

from __future__ import annotations

import math

from descend.diagnosis.corpus_metrics import count_corpus, measure_corpus
from descend.diagnosis.model_metrics import load_trained_model, measure_model
from descend.diagnosis.record_metrics import measure_config, measure_records
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.step_metrics import measure_step
from descend.machine import Execution
from descend.metrics.measurement import Measurement
from descend.trials.trial_evaluation import evaluate_trial, evaluation_segments


def measure_run(recorded_run: RunContext) -> dict[str, Measurement]:
    """Return all measurements that can be taken of `recorded_run`, by signal name."""
    all_measurements = [*measure_records(recorded_run), *measure_config(recorded_run)]
    if recorded_run.store is not None:
        counted = count_corpus(recorded_run.store)
        all_measurements += measure_corpus(recorded_run.store, counted, recorded_run.config.seq_len)
        model = load_trained_model(recorded_run)
        if model is not None:
            all_measurements += measure_model(recorded_run, recorded_run.store, model, counted)
        if recorded_run.checkpoint is not None and not recorded_run.diverged:
            all_measurements += measure_step(recorded_run)
    measurements = {r.metric: r for r in all_measurements if math.isfinite(r.value)}
    if {"measured_validation_loss", "best_ngram_loss"} <= measurements.keys():
        gap = measurements["measured_validation_loss"].value - measurements["best_ngram_loss"].value
        measurements["gap_to_ngram_nats"] = Measurement("gap_to_ngram_nats", gap, "nats")
    return measurements


def run_validation_loss(recorded_run: RunContext, evaluation_tokens: int) -> float | None:
    """Return the validation loss (nats) of the model of `recorded_run` on the very text that a
    trial is judged on."""
    model = (
        load_trained_model(recorded_run)
        if recorded_run.store is not None and recorded_run.epochs
        else None
    )
    if model is None or recorded_run.store is None:
        return None
    parts = evaluation_segments(recorded_run.store, evaluation_tokens)
    execution = Execution("cpu", "float32", "fused", 1, "", "")
    return evaluate_trial(
        model, execution, recorded_run.store, parts, recorded_run.config.seq_len
    ).loss
