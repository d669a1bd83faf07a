"""What only a GPU shows: steps as CUDA graphs or compiled, bits, the engine's choice."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from descend.config import make_config
from descend.machine import Execution
from descend.report.text.run_notices import run_notices
from descend.runs.events import Step
from descend.training.cuda_graphs import CudaGraphFunction
from descend.training.execution.autotune import autotune_execution
from descend.training.execution.backends import candidate_backends, supports_cuda_graphs
from descend.training.loop import train
from descend.training.loss import can_compile
from descend.training.muon import orthogonalize
from descend.training.step_inputs import make_step_inputs
from descend.training.train_plan import TrainPlan
from descend.training.training_run import TrainingRun, create_run, initial_train_state

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU of NVIDIA here")

Tiny = dict[str, Any]

STEPS = 30


def losses(run: TrainingRun, **how: object) -> list[float]:
    """Of the first `STEPS` steps of `run`, computed on the GPU as `how` says."""
    defaults: dict[str, Any] = {"device": "cuda", "precision": "float32", "attention": "fused",
                           "threads": 1, "torch": "", "processor": ""}  # fmt: skip
    resolved, execution = run.plan.config, Execution(**(defaults | how))
    inputs = make_step_inputs(resolved, run.shape, run.plan.batches)
    plan = TrainPlan(resolved, execution, run.plan.batches, run.plan.epochs,
                    run.plan.total_steps, run.plan.learning_rate, None)  # fmt: skip
    events = (r[0] for r in train(initial_train_state(inputs, execution), plan))
    return [r.loss for r in itertools.islice(events, STEPS) if isinstance(r, Step)]


@pytest.fixture(params=["adamw", "muon"])
def run(request: pytest.FixtureRequest, tiny: Tiny) -> TrainingRun:
    return create_run(make_config(tiny | {
        "optimizer": request.param, "dropout_rate": 0.2, "token_dropout": 0.1, "epoch": 9,
        "learning_rate": {"adamw": 1e-3, "muon": 1e-4}[request.param],
    }), Path("run"))  # fmt: skip


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_cuda_graph_matches_eager_with_dropout(run: TrainingRun, precision: str) -> None:
    plainly = losses(run, precision=precision)
    graph_losses = losses(run, precision=precision, cuda_graph=True)
    assert len(graph_losses) == STEPS
    # The same hidden tokens and the same dropout: other ones would be apart by far more.
    assert graph_losses == pytest.approx(plainly, rel=1e-3)
    assert losses(run, precision=precision, cuda_graph=True) == graph_losses
    assert losses(run, precision=precision) == plainly


@pytest.mark.skipif(not can_compile("cuda"), reason="no C++ compiler or no Triton here")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("uses_cuda_graph", [False, True])
def test_compiled_code_learns_the_same(tiny: Tiny, uses_cuda_graph: bool) -> None:
    torch._dynamo.reset()
    run = create_run(make_config(tiny | {"token_dropout": 0.0, "epoch": 9, "learning_rate": 1e-4}),
                  Path("run"))  # fmt: skip
    plainly = losses(run, precision="bfloat16")
    compiled = losses(run, precision="bfloat16", compiled=True, cuda_graph=uses_cuda_graph)
    assert compiled == pytest.approx(plainly, rel=1e-2)


def test_the_engine_tries_to_replay_where_it_may(tiny: Tiny) -> None:
    config = make_config(tiny | {"precision": "auto"})
    run = create_run(config, Path("run"))
    executions = list(candidate_backends(config, "cuda"))
    assert {execution.cuda_graph for execution in executions} == {False, True}
    inputs = make_step_inputs(config, run.shape, run.plan.batches)
    choice = autotune_execution(inputs)
    assert choice.execution.device == "cuda"
    assert len(choice.seconds_per_token) == len(executions)
    assert autotune_execution(inputs) == choice
    for key, value in (
        ("compile", "off"), ("gradient_accumulation_steps", 2), ("activation_checkpointing", True)
    ):  # fmt: skip
        assert not supports_cuda_graphs(make_config(tiny | {key: value}), "cuda")


def test_autotuning_skips_backend_exceeding_gpu_memory(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    from descend.training.execution import candidate_timing

    original = candidate_timing.time_training_step

    def short(execution: Execution, *rest: Any, **more: Any) -> tuple[float, float]:
        if execution.cuda_graph:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(execution, *rest, **more)

    monkeypatch.setattr(candidate_timing, "time_training_step", short)
    config = make_config(tiny | {"batch_size": 3})
    run = create_run(config, Path("run"))
    assert not run.plan.execution.cuda_graph
    assert run.tuning is not None
    assert all("CUDA graph" not in name for name in run.tuning.seconds_per_token)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cuda_graph_orthogonalization_matches_eager(dtype: torch.dtype) -> None:
    recorded = CudaGraphFunction(orthogonalize)
    for shape in [(3, 8, 24), (2, 16, 16), (3, 8, 24)]:
        given = torch.randn(shape, device="cuda", dtype=dtype)
        assert torch.equal(recorded(given), orthogonalize(given))
        assert torch.equal(recorded(-given), orthogonalize(-given))
    assert len(recorded.graphs) == 2


def test_oversized_gpu_batch_uses_gradient_accumulation(tiny: Tiny) -> None:
    large = {"embed_dim": 256, "num_heads": 4, "ff_dim": 1024, "seq_len": 32, "batch_size": 4096,
             "max_steps": 2, "compile": "off"}  # fmt: skip
    whole = torch.cuda.mem_get_info()[1]
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(2**30 / whole)
    try:
        run = create_run(make_config(tiny | large), Path("run"))
        parts = run.plan.config.gradient_accumulation_steps
        assert parts is not None
        assert parts > 1
        assert any(f"in {parts} parts" in note for note in run_notices(run))
        assert len(list(train(run.state, run.plan))) == 2
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
