"""Metrics of what a run recorded: held against its events."""

from __future__ import annotations

import math

import msgspec
import pytest

from descend.diagnosis.record_metrics import measure_config, measure_records
from descend.diagnosis.run_context import RunContext
from descend.model.cost import parameter_count


def test_measure_records_reads_losses_and_epochs(context: RunContext) -> None:
    values = {m.metric: m.value for m in measure_records(context)}
    first = context.steps[0].loss / math.log(context.shape.vocab_size)
    assert values["initial_loss_ratio"] == pytest.approx(first)
    assert values["validation_loss"] == min(e.validation_loss for e in context.epochs)
    clipped = sum(s.clipped for s in context.steps) / len(context.steps)
    assert values["clipped_step_fraction"] == pytest.approx(clipped)


def test_measure_records_has_no_final_rate_of_an_unfinished_run(context: RunContext) -> None:
    assert "final_lr_fraction" in {m.metric for m in measure_records(context)}
    unfinished = context.with_parts(finished=False)
    assert "final_lr_fraction" not in {m.metric for m in measure_records(unfinished)}


def test_measure_records_extrapolates_no_smoothed_loss(context: RunContext) -> None:
    steps = tuple(
        msgspec.structs.replace(
            context.steps[0], step=n, loss=2 + 3 * n**-0.5 + 0.02 * (-1) ** n, learning_rate=0.001
        )
        for n in range(1, 401)
    )
    long = context.with_parts(steps=steps)
    assert "extrapolated_loss" in {m.metric for m in measure_records(long)}
    smoothed = long.with_parts(config=long.config.model_copy(update={"label_smoothing": 0.1}))
    assert "extrapolated_loss" not in {m.metric for m in measure_records(smoothed)}


def test_measure_config_counts_parameters_and_steps(context: RunContext) -> None:
    values = {m.metric: m.value for m in measure_config(context)}
    assert values["parameters"] == parameter_count(context.shape)
    assert values["steps"] == context.total_steps
    tokens = context.total_steps * context.tokens_per_step
    assert values["tokens_per_parameter"] == pytest.approx(tokens / values["parameters"])
