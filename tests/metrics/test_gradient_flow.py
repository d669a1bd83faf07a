"""The recorded gradient by layer, against a hand computation and a real run."""

from __future__ import annotations

from pathlib import Path

import pytest

from descend.metrics.gradient_flow import GradientFlow, gradient_flow
from descend.runs.events import WeightUpdateStats
from descend.runs.recorded_run import RecordedRun

NAMES = ["token_embedding.weight", "blocks.0.ff.up.weight", "blocks.0.ff.down.weight",
         "blocks.10.ff.up.weight", "blocks.2.ff.up.weight", "head.weight"]  # fmt: skip


def record(step: int, values: list[float]) -> WeightUpdateStats:
    return WeightUpdateStats(step, {}, dict(zip(NAMES, values, strict=True)), {})


def test_gradient_flow_joins_matrices_of_a_layer_in_order() -> None:
    flow = gradient_flow([record(25, [1, 3, 4, 5, 6, 7]), record(50, [2, 0, 0, 1, 1, 1])], 10)
    assert flow.steps == [25, 50]
    assert flow.layers == ["embedding", "block 1", "block 3", "block 11", "head"]
    assert [row[0] for row in flow.gradient_rms] == pytest.approx([1, 12.5**0.5, 6, 5, 7])
    assert [row[1] for row in flow.gradient_rms] == pytest.approx([2, 0, 1, 1, 1])


def test_gradient_flow_is_thinned_and_ends_with_the_last_record() -> None:
    flow = gradient_flow([record(step, [1] * 6) for step in range(25, 2525, 25)], 40)
    assert len(flow.steps) <= 40
    assert flow.steps[-1] == 2500
    assert all(len(row) == len(flow.steps) for row in flow.gradient_rms)


def test_gradient_flow_of_no_records_is_empty() -> None:
    assert gradient_flow([], 10) == GradientFlow([], [], [])


def test_gradient_flow_of_a_real_run_names_its_layers(trained: Path) -> None:
    run = RecordedRun(trained)
    flow = gradient_flow(run.weight_updates, 10)
    blocks = [f"block {number + 1}" for number in range(run.config.num_layers)]
    assert flow.layers == ["embedding", *blocks, "head"]
    # At the first step a head that begins at zero lets no gradient through.
    assert all(row[-1] > 0 for row in flow.gradient_rms)
