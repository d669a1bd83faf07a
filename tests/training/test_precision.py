"""Half precision learns what float32 learns; both ways to compute attention agree."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from descend.config import make_config
from descend.machine import Execution
from descend.model.initialize import initialize
from descend.model.transformer import Transformer
from descend.runs.records import Step
from descend.training.job import Job, new_job
from descend.training.loop import Course, backward, gradient_norm, train, update
from descend.training.objective import can_compile, cross_entropy
from descend.training.optimizer import make_optimizers
from descend.training.precision import make_scaler
from descend.training.state import TrainState

Tiny = dict[str, Any]
STEPS = 50


def computing(
    job: Job, precision: str, attention: str, compiled: bool = False
) -> tuple[TrainState, Course]:
    """The run of `job` as it would start in this precision with this kernel."""
    way = Execution(
        device="cpu", precision=precision, attention=attention, threads=1, torch="", processor="",  # type: ignore[arg-type]
        compiled=compiled,
    )  # fmt: skip
    config = job.course.config
    model = Transformer(job.shape, config.dropout_rate, way.attention)
    initialize(model, config.seed)
    model.train()
    course = Course(config, way, job.course.batches, job.course.epochs, job.course.total_steps,
                    job.course.learning_rate, job.course.evaluate)  # fmt: skip
    optimizers = make_optimizers(model, config, way.precision)
    return TrainState(model, optimizers, make_scaler(way)), course


def curve(job: Job, precision: str, compiled: bool = False) -> list[float]:
    state, course = computing(job, precision, "matmul", compiled)
    found: list[float] = []
    for records in train(state, course):
        first = records[0]
        assert isinstance(first, Step)
        found.append(first.loss)
        if len(found) == STEPS:
            return found
    raise AssertionError("too few steps")


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_half_precision_follows_the_curve_of_float32(tiny: Tiny, optimizer: str) -> None:
    # Small steps: over fifty large ones rounding alone leads two runs apart.
    tiny |= {"optimizer": optimizer, "learning_rate": 3e-4, "architecture": "gpt"}
    job = new_job(make_config(tiny), Path("run"))
    exact = curve(job, "float32")
    assert exact[-1] < exact[0] - 0.2
    for precision, within in (("bfloat16", 0.02), ("float16", 0.01)):
        found = curve(job, precision)
        assert found != exact
        # The scaler may skip a first step or two while it looks for its scale.
        assert found[-1] == pytest.approx(exact[-1], rel=within)
        assert max(abs(a - b) / b for a, b in zip(found, exact, strict=True)) < 2 * within


def gradients(
    job: Job, precision: str, attention: str, compiled: bool = False
) -> dict[str, Tensor]:
    state, course = computing(job, precision, attention, compiled)
    backward(state, course, 0)
    for optimizer in state.optimizers:
        state.scaler.unscale_(optimizer)
    return {name: p.grad for name, p in state.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
def test_gradients_point_the_same_way(tiny: Tiny, architecture: str) -> None:
    tiny |= {"architecture": architecture, "embed_dim": 64, "batch_size": 16}
    job = new_job(make_config(tiny), Path("run"))
    exact = gradients(job, "float32", "matmul")
    ways = [("float32", "fused", 0.9999999), ("bfloat16", "matmul", 0.999),
            ("bfloat16", "fused", 0.999), ("float16", "matmul", 0.9999)]  # fmt: skip
    for precision, attention, least in ways:
        found = gradients(job, precision, attention)
        assert found.keys() == exact.keys()
        one, other = (torch.cat([g.flatten().double() for g in gs.values()])
                      for gs in (found, exact))  # fmt: skip
        cosine = torch.nn.functional.cosine_similarity(one, other, dim=0).item()
        assert cosine > least, (precision, attention)
        assert one.norm().item() == pytest.approx(other.norm().item(), rel=0.01)


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(), reason="no C++ compiler here")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.filterwarnings("ignore")
def test_compiled_code_computes_what_is_written(tiny: Tiny, precision: str) -> None:
    tiny |= {"embed_dim": 64, "batch_size": 16, "learning_rate": 3e-4, "epoch": 20}
    tiny |= {"blank_rate": 0.0}  # compiled code draws other random numbers
    job = new_job(make_config(tiny), Path("run"))
    exact = gradients(job, "float32", "matmul")
    found = gradients(job, precision, "matmul", compiled=True)
    one, other = (torch.cat([g.flatten().double() for g in gs.values()]) for gs in (found, exact))
    assert torch.nn.functional.cosine_similarity(one, other, dim=0).item() > 0.999
    plain, compiled = curve(job, "float32"), curve(job, precision, compiled=True)
    assert plain[-1] < plain[0] - 0.2
    assert compiled != plain
    assert compiled == pytest.approx(plain, rel=0.01)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_an_overflow_of_float16_leaves_all_weights_and_halves_the_scale(
    tiny: Tiny, optimizer: str
) -> None:
    for clip in (1.0, 0.0):
        tiny |= {"optimizer": optimizer, "gradient_clip": clip}
        job = new_job(make_config(tiny), Path("run"))
        state, course = computing(job, "float16", "matmul")
        before = {n: p.detach().clone() for n, p in state.model.named_parameters()}
        backward(state, course, 0)
        scale = state.scaler.get_scale()
        # One matrix overflows, all the others do not.
        hit = next(p for p in state.model.blocks.parameters() if p.ndim == 2)
        assert hit.grad is not None
        hit.grad[0, 0] = float("inf")
        norm = gradient_norm(state, course)
        assert not math.isfinite(norm)
        update(state, finite=False)
        assert state.scaler.get_scale() == scale / 2
        for name, weight in state.model.named_parameters():
            assert torch.equal(weight, before[name]), name


def test_half_precision_is_stored_as_float32(tiny: Tiny) -> None:
    job = new_job(make_config(tiny | {"precision": "bfloat16"}), Path("run"))
    assert job.course.execution.precision == "bfloat16"
    for _ in train(job.state, job.course):
        break
    assert {p.dtype for p in job.state.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_our_cross_entropy_is_that_of_torch(smoothing: float) -> None:
    torch.manual_seed(0)
    # Not a multiple of the rows worked on at once, nor a power of two.
    ours = (3 * torch.randn(300, 50)).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    targets = torch.randint(0, 50, (300,))
    loss, hits = cross_entropy(ours, targets, smoothing)
    expected = torch.nn.functional.cross_entropy(theirs, targets, label_smoothing=smoothing)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert hits == (theirs.argmax(-1) == targets).sum()
    (0.3 * loss).backward()
    (0.3 * expected).backward()
    assert theirs.grad is not None
    assert torch.allclose(ours.grad, theirs.grad, rtol=1e-5, atol=1e-9)
    half = ours.detach().bfloat16().requires_grad_()
    (0.3 * cross_entropy(half, targets, smoothing)[0]).backward()
    assert half.grad.dtype == torch.bfloat16
    assert half.grad.float().norm().item() == pytest.approx(theirs.grad.norm().item(), rel=5e-3)
