"""Costs computed from the sizes against what torch builds, counts and allocates."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import descend
from descend.config import make_config
from descend.metrics.evaluation import score_batches
from descend.model.cost import (
    EVALUATION_WINDOWS,
    activation_bytes,
    evaluation_bytes,
    evaluation_windows,
    forward_flops_per_token,
    parameter_count,
    training_flops_per_token,
    training_memory,
    training_memory_breakdown,
)
from descend.model.initialization import initialize
from descend.model.shape import Architecture, ModelShape, shape_from_run_config
from descend.model.transformer import Transformer
from descend.training.loss import next_token_loss

ARCHITECTURES: list[Architecture] = ["gpt", "modern"]


@st.composite
def shapes(draw: st.DrawFn) -> ModelShape:
    heads = draw(st.integers(1, 4))
    return ModelShape(
        architecture=draw(st.sampled_from(ARCHITECTURES)),
        vocab_size=draw(st.integers(2, 300)),
        embed_dim=heads * 2 * draw(st.integers(1, 8)),
        num_heads=heads,
        num_layers=draw(st.integers(1, 4)),
        ff_dim=draw(st.integers(1, 90)),
        max_seq_len=draw(st.integers(2, 40)),
    )


@given(shapes())
@settings(deadline=None)
def test_the_parameter_count_is_exact(shape: ModelShape) -> None:
    assert parameter_count(shape) == sum(p.numel() for p in Transformer(shape).parameters())


@given(shapes(), st.booleans())
@settings(deadline=None, max_examples=20)
def test_flops_match_torch_flop_counter(shape: ModelShape, checkpointing: bool) -> None:
    model, tokens = Transformer(shape), 2 * shape.max_seq_len
    model.checkpoint_activations = checkpointing
    ids = torch.zeros((2, shape.max_seq_len), dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        loss = model(ids).sum()
    assert counter.get_total_flops() == tokens * forward_flops_per_token(shape, shape.max_seq_len)
    with FlopCounterMode(display=False) as counter:
        loss = model(ids).sum()
        loss.backward()
    expected = tokens * training_flops_per_token(shape, shape.max_seq_len, checkpointing)
    assert counter.get_total_flops() == pytest.approx(
        expected, rel=0.02 if not checkpointing else 0.2
    )


def peak_bytes(shape: ModelShape, sequences: int, seq_len: int, **options: bool) -> int:
    """What one training step allocates at its peak beyond weights and gradients."""
    model = Transformer(shape, 0.1 if options.get("dropout") else 0.0)
    initialize(model, 0)
    model.checkpoint_activations = options.get("activation_checkpointing", False)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    ids = torch.zeros((sequences, seq_len), dtype=torch.long)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        next_token_loss(model, ids, ids, 0.0)[0].backward()
    return read_peak(profiler)


def evaluation_peak_bytes(shape: ModelShape, sequences: int, seq_len: int) -> int:
    """What an evaluation allocates at its peak, over three batches."""
    windows = [np.zeros((sequences, seq_len + 1), dtype=np.int64)] * 3
    model, byte_lengths = Transformer(shape), np.ones(shape.vocab_size, dtype=np.int64)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        for _ in score_batches(model, windows, byte_lengths):
            pass
    return read_peak(profiler)


def read_peak(profiler: profile) -> int:
    """The most bytes that were allocated at a time."""
    kineto = profiler.profiler.kineto_results  # type: ignore[union-attr]
    events = [e for e in kineto.events() if e.name() == "[memory]"]
    current_bytes = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        current_bytes += event.nbytes()
        peak = max(peak, current_bytes)
    return peak


@pytest.mark.parametrize("options", [{}, {"dropout": True}, {"activation_checkpointing": True}])
@pytest.mark.parametrize("sizes", [(512, 64, 4, 6, 256, 32), (4096, 128, 8, 4, 512, 128)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_activation_bytes_approximate_torch_peak_memory(
    architecture: Architecture, sizes: tuple[int, ...], options: dict[str, bool]
) -> None:
    shape = ModelShape(architecture, *sizes)
    measured = peak_bytes(shape, 4, sizes[5], **options)
    assert measured > 1e6
    estimate = activation_bytes(shape, 4, sizes[5], **options)  # type: ignore[arg-type]
    assert estimate == pytest.approx(measured, rel=0.25)


@pytest.mark.parametrize("sizes", [
    (512, 384, 4, 2, 1536, 128), (4096, 128, 8, 4, 512, 128), (512, 64, 8, 2, 128, 256),
])  # fmt: skip
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_evaluation_bytes_approximate_torch_peak_memory(
    architecture: Architecture, sizes: tuple[int, ...]
) -> None:
    shape = ModelShape(architecture, *sizes)
    measured = evaluation_peak_bytes(shape, 4, sizes[5])
    assert evaluation_bytes(shape, 4, sizes[5]) == pytest.approx(measured, rel=0.15)


@pytest.mark.parametrize("micro_batch", [1, 8, 32])
def test_an_evaluation_needs_no_more_memory_than_a_step(micro_batch: int) -> None:
    sizes = {"embed_dim": 768, "num_layers": 6, "seq_len": 512, "max_seq_len": 512}
    config = make_config({"batch_size": micro_batch, "divergence_rollback": "off"} | sizes)
    shape = shape_from_run_config(config, 4096)
    windows = evaluation_windows(config, shape)
    assert evaluation_bytes(shape, windows, 512) <= training_memory_breakdown(config, shape).step
    assert (windows == EVALUATION_WINDOWS) == (micro_batch > 1)
    assert windows >= micro_batch


def test_a_small_network_is_evaluated_on_many_windows_at_once() -> None:
    config = make_config({"batch_size": 1, "seq_len": 8})
    assert evaluation_windows(config, shape_from_run_config(config, 300)) == EVALUATION_WINDOWS


def test_memory_follows_the_configuration() -> None:
    config = make_config({"batch_size": 32, "optimizer": "adamw"})
    shape = shape_from_run_config(config, 4096)
    parts = training_memory_breakdown(config, shape)
    assert parts.weights == parts.gradients == 4 * parameter_count(shape)
    assert parts.optimizer == 2 * parts.weights
    assert training_memory(config, shape) == parts.total
    for change in (
        {"batch_size": 16},
        {"seq_len": 64},
        {"gradient_accumulation_steps": 2},
        {"optimizer": "muon"},
        {"activation_checkpointing": True},
        {"precision": "bfloat16"},
    ):
        changed = make_config({"batch_size": 32, "optimizer": "adamw"} | change)
        assert training_memory(changed, shape) < parts.total
    assert training_memory(config.model_copy(update={"dropout_rate": 0.1}), shape) > parts.total


def test_memory_is_that_of_a_save_when_it_is_the_peak() -> None:
    config = make_config({"batch_size": 1, "seq_len": 8, "optimizer": "adamw"})
    shape = shape_from_run_config(config, 4096)
    parts = training_memory_breakdown(config, shape)
    assert parts.save == 2 * parts.optimizer > parts.gradients + parts.activations
    resident = parts.weights + parts.optimizer + parts.best_weights + parts.rollback_snapshot
    assert parts.total == resident + parts.save
    muon = training_memory_breakdown(make_config({"optimizer": "muon"}), shape)
    assert 2 * muon.weights <= muon.save < parts.save


def test_costs_need_no_torch() -> None:
    source = Path(descend.__file__).parents[1]
    probe = "import {}, sys; sys.exit('torch' in sys.modules)"
    for module, loads_torch in [("descend.model.cost", 0), ("descend.model.transformer", 1)]:
        command = [sys.executable, "-c", probe.format(module)]
        assert subprocess.run(command, cwd=source, check=False).returncode == loads_torch
