"""Before a run the attention kernel of this machine is held against its formula."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from descend.config import make_config
from descend.errors import SelfCheckError
from descend.machine import Execution
from descend.model import transformer
from descend.model.shape import ModelShape, shape_from_run_config
from descend.runs.events import Event
from descend.training import training_run
from descend.training.self_check import check_attention_kernel
from descend.training.stop_signals import TrainingInterrupted
from descend.training.trainer import run_training

Kernel = Literal["matmul", "fused"]
Precision = Literal["float32", "bfloat16", "float16"]


def shape_of(architecture: str) -> ModelShape:
    return shape_from_run_config(make_config({"architecture": architecture}), 300)


def execution_of(kernel: Kernel, precision: Precision = "float32") -> Execution:
    return Execution("cpu", precision, kernel, 1, torch.__version__, "any")


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
@pytest.mark.parametrize("kernel", ["matmul", "fused"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_check_attention_kernel_accepts_and_draws_nothing_when_the_kernel_is_right(
    architecture: str, kernel: Kernel, precision: Precision
) -> None:
    numbers, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[union-attr,call-overload]
    check_attention_kernel(execution_of(kernel, precision), shape_of(architecture))
    assert torch.equal(numbers, torch.get_rng_state())
    assert np.array_equal(numpys, np.random.get_state()[1])  # type: ignore[call-overload]


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
@pytest.mark.parametrize("kernel", ["matmul", "fused"])
@pytest.mark.parametrize("factor", [1.0, 1 / 8])
def test_check_attention_kernel_fails_when_scores_are_scaled_otherwise(
    architecture: str, kernel: Kernel, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(transformer, f"_{kernel}_attention")
    monkeypatch.setattr(transformer, f"_{kernel}_attention", lambda q, k, v, rate: real(
        q * (factor * q.shape[-1] ** 0.5), k, v, rate
    ))  # fmt: skip
    other = "matmul" if kernel == "fused" else "fused"
    with pytest.raises(SelfCheckError, match=f"attention.*on cpu.*`attention = {other}`"):
        check_attention_kernel(execution_of(kernel), shape_of(architecture))


def test_check_attention_kernel_fails_when_the_result_is_not_a_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transformer, "_fused_attention", lambda q, k, v, rate: v * torch.nan)
    with pytest.raises(SelfCheckError):
        check_attention_kernel(execution_of("fused"), shape_of("gpt"))


def test_new_and_resumed_runs_refuse_a_broken_attention_kernel(
    tiny: dict[str, object], own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_folder / "run"
    with pytest.raises(TrainingInterrupted):
        interrupt(run_training(training_run.create_run(make_config(tiny), folder)))

    def broken(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rate: float) -> torch.Tensor:
        return 0 * v

    monkeypatch.setattr(transformer, "_fused_attention", broken)
    monkeypatch.setattr(transformer, "_matmul_attention", broken)
    with pytest.raises(SelfCheckError, match="attention"):
        training_run.create_run(make_config(tiny), own_folder / "other")
    with pytest.raises(SelfCheckError, match="attention"):
        training_run.resume_run(folder)


def interrupt(records: Iterator[Event]) -> None:
    for number, _ in enumerate(records):
        if number == 5:
            os.kill(os.getpid(), signal.SIGINT)
