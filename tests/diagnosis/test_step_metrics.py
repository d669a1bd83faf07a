"""Metrics of the next optimizer step: the model is as it was after them."""

from __future__ import annotations

import torch

from descend.diagnosis.run_context import RunContext
from descend.diagnosis.step_metrics import load_newest_state, measure_step


def test_measure_step_needs_a_checkpoint(context: RunContext) -> None:
    assert list(measure_step(context.with_parts(checkpoint=None))) == []


def test_measure_step_measures_the_multiplier_and_the_noise_scale(context: RunContext) -> None:
    values = {m.metric: m.value for m in measure_step(context)}
    assert values["critical_step_multiplier_fresh"] > 0
    assert values["gradient_noise_scale"] > 0
    assert values == {m.metric: m.value for m in measure_step(context)}


def test_load_newest_state_is_on_the_cpu_in_float32(context: RunContext) -> None:
    state = load_newest_state(context)
    assert state is not None
    assert state.step > 0
    kinds = {(p.device.type, p.dtype) for p in state.model.parameters()}
    assert kinds == {("cpu", torch.float32)}
