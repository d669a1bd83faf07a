"""Metrics of what a run recorded, and of its configuration."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from descend.diagnosis.run_context import RunContext
from descend.metrics import training_history
from descend.metrics.extrapolation import extrapolation_measurements, mask_at_peak_lr
from descend.metrics.measurement import Measurement
from descend.metrics.power_law import extrapolate_curve
from descend.model.cost import parameter_count


def measure_records(recorded_run: RunContext) -> Iterator[Measurement]:
    """Yield the metrics of what the run recorded while it trained."""
    steps, epochs = recorded_run.steps, recorded_run.epochs
    optional: list[tuple[str, float | None, str]] = [
        (
            "initial_loss_ratio",
            training_history.initial_loss_ratio(steps, recorded_run.shape.vocab_size),
            "of ln V",
        ),
        (
            "update_to_weight_ratio",
            training_history.update_to_weight_ratio(recorded_run.weight_updates),
            "of the weight per step",
        ),
        ("clipped_step_fraction", training_history.clipped_step_fraction(steps), "of steps"),
        (
            "gradient_norm_p99_over_p50",
            training_history.gradient_norm_p99_over_p50(steps),
            "99th over 50th percentile",
        ),
        ("max_loss_increase", training_history.max_loss_increase(steps), "nats"),
        (
            "validation_loss_increase_after_best",
            training_history.validation_loss_increase_after_best(epochs),
            "nats",
        ),
        ("last_epoch_loss_reduction", training_history.last_epoch_loss_reduction(epochs), "nats"),
        (
            "final_lr_fraction",
            training_history.final_lr_fraction(steps) if recorded_run.finished else None,
            "of the peak",
        ),
        ("warmup_fraction", training_history.warmup_fraction(steps), "of the run"),
        ("near_zero_lr_fraction", training_history.near_zero_lr_fraction(steps), "of steps"),
    ]
    for name, value, unit in optional:
        if value is not None:
            yield Measurement(name, value, unit, optimizer=recorded_run.config.optimizer)
    if epochs:
        best = min(epochs, key=lambda e: e.validation_loss)
        yield Measurement("validation_loss", best.validation_loss, "nats per token")
        yield Measurement("validation_accuracy", best.validation_accuracy, "of tokens")
        yield Measurement("best_epoch", best.epoch / epochs[-1].epoch, "of the epochs")
    yield from _measure_extrapolation(recorded_run)


def _measure_extrapolation(recorded_run: RunContext) -> Iterator[Measurement]:
    """Yield where the training loss was going at the peak of the rate: its decay is no part of the
    law. Smoothed losses are on another scale than all others that are reported."""
    if (
        recorded_run.diverged
        or recorded_run.first_exploded_step
        or recorded_run.config.label_smoothing
        or not recorded_run.steps
    ):
        return
    positions = np.array([float(s.step) for s in recorded_run.steps])
    here = mask_at_peak_lr([(s.step, s.learning_rate) for s in recorded_run.steps], positions)
    if here is None:
        return
    extrapolation = extrapolate_curve(
        positions[here], np.array([s.loss for s in recorded_run.steps])[here]
    )
    if extrapolation is not None:
        yield from extrapolation_measurements(extrapolation, "step")


def measure_config(recorded_run: RunContext) -> Iterator[Measurement]:
    """Yield the metrics of the configuration: lengths, sizes, and their ratios."""
    config, shape = recorded_run.config, recorded_run.shape
    parameters = parameter_count(shape)
    yield Measurement("epochs", recorded_run.num_epochs, "epochs")
    yield Measurement("steps", float(recorded_run.total_steps), "steps")
    yield Measurement("dropout_rate", config.dropout_rate, "of the units")
    yield Measurement("parameters", float(parameters), "parameters")
    tables = 1 if shape.is_tied else 2
    embedding = tables * shape.vocab_size * shape.embed_dim
    yield Measurement("embedding_parameter_fraction", embedding / parameters, "of the parameters")
    if recorded_run.store is not None:
        num_tokens = recorded_run.total_steps * recorded_run.tokens_per_step
        yield Measurement("tokens_per_parameter", num_tokens / parameters, "tokens trained on")
