"""The loop of training as a dry run: a miniature of the network takes real steps.

It is made as the network of the run is, with its kind, kernel, precision and optimizers, and trains
on a text of its own: so what is found hangs on the code alone, not on sizes, settings or text. What
each step makes of its batch is read at the logits, as `descend check` does, and from the record.

Shapes: B batch, T position, V vocabulary, D width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from descend.data.batches import BatchSampler
from descend.errors import DivergedError
from descend.metrics.evaluation import evaluate
from descend.metrics.weight_updates import WeightUpdateRecorder
from descend.model.initialization import initialize
from descend.model.transformer import Transformer
from descend.runs.events import Step
from descend.training.loop import train_step
from descend.training.optimizers import make_optimizers
from descend.training.precision import autocast_precision
from descend.training.self_check import check_attention_kernel
from descend.training.state_snapshot import copy_snapshot, restore_snapshot
from descend.training.train_plan import TrainPlan
from descend.training.train_state import TrainState

from .failure import failure
from .network import check_network
from .positions import check_positions

VOCABULARY, LENGTH, ROWS, PARTS = 61, 8, 3, 2
"""Three rows in two parts: parts of unequal length must not count alike."""

SIZES = {"vocab_size": VOCABULARY, "embed_dim": 16, "num_heads": 2, "num_layers": 1, "ff_dim": 32,
         "max_seq_len": 2 * LENGTH}  # fmt: skip

STEPS = 3
"""After so many every matrix has moved: one that starts at zero holds the next ones back a step."""

RATE = 1e-3
"""Of the first step; the second has twice that."""

SCALE = 256.0
"""Of losses in float16: small enough that no gradient of the miniature overflows."""

SAME_LOSS, SAME_GRADIENT = 1e-3, 0.05
"""Shares by which loss and gradients may differ from those worked out: bfloat16 keeps 0.004."""

SAME_STEP = 0.01
"""Fraction of a step by which one after a resume may differ."""


@dataclass(frozen=True)
class ForwardRecord:
    """What went into the network and came out."""

    ids_BT: Tensor
    logits_BTV: Tensor
    training: bool


def dry_run(model: Transformer, plan: TrainPlan) -> None:
    """Steps, judgment and resume of a miniature of `model` on its way along `plan`."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    device = plan.execution.device
    with torch.random.fork_rng(devices), torch.enable_grad():
        small = _make_small_plan(plan)
        state = _state(model, small)
        check_network(state.model, small.batches.batch(0))
        start = copy_snapshot(state).weights
        try:
            for number in range(STEPS):
                snapshot = copy_snapshot(state)
                _step(state, small, number)
            other = _state(model, small)
            restore_snapshot(snapshot, other)
            train_step(other, small, WeightUpdateRecorder())
        except DivergedError as problem:
            raise failure("a rehearsed step", problem.actual, "finite numbers") from problem
        _check_all_weights_updated(state.model, start)
        _same_after_resume(state.model, other.model, snapshot.weights)
        _check_evaluation_mode(state.model, small.batches)
        check_attention_kernel(plan.execution, model.shape)
        check_positions(state.model, device)


def _make_small_plan(plan: TrainPlan) -> TrainPlan:
    """The way of the miniature: as that of the run, but for what makes it long or weak."""
    config = plan.config.model_copy(update={
        "batch_size": ROWS, "gradient_accumulation_steps": PARTS, "seq_len": LENGTH,
        "gradient_clip": 1.0, "weight_decay": 0.0, "divergence_rollback": "off",
    })  # fmt: skip
    execution = msgspec.structs.replace(plan.execution, compiled=False, cuda_graph=False)
    positions = np.arange(VOCABULARY * LENGTH, dtype=np.uint32)
    batches = BatchSampler((positions**2 + 7 * positions) % VOCABULARY, LENGTH, ROWS, 0)
    return TrainPlan(config, execution, batches, 1, STEPS + 1, lambda step: RATE * (step + 1), None)


def _state(model: Transformer, plan: TrainPlan) -> TrainState:
    execution = plan.execution
    shape = msgspec.structs.replace(model.shape, **SIZES)
    small = Transformer(shape, 0.0, execution.attention)
    initialize(small, 0)
    small.to(execution.device).train()
    scaler = torch.amp.GradScaler(
        torch.device(execution.device).type, SCALE, enabled=execution.precision == "float16"
    )
    return TrainState(small, make_optimizers(small, plan.config, execution), scaler)


def _step(state: TrainState, plan: TrainPlan, number: int) -> None:
    """One step, held against what its batch asks for."""
    tokens = torch.from_numpy(plan.batches.batch(number))
    norm = _norm(state.model, tokens, plan) if number == STEPS - 1 else None
    forward_records: list[ForwardRecord] = []
    stop_watching = _record_forward(state.model, forward_records)
    scale = state.scaler.get_scale()
    record = train_step(state, plan, WeightUpdateRecorder())[0]
    stop_watching()
    assert isinstance(record, Step)
    smoothing = plan.config.label_smoothing
    if not torch.equal(torch.cat([one.ids_BT for one in forward_records]).cpu(), tokens[:, :-1]):
        raise failure(
            "a rehearsed step",
            "other tokens given to the network than those of its batch",
            "all of them but the last, each once",
        )
    _loss(record.loss, forward_records, tokens[:, 1:], smoothing, scale)
    if norm is not None:  # in the last of them, before which others could have left something
        _gradient(record.gradient_norm, norm)
    _after(state, plan, record)


def _record_forward(model: Transformer, forward_records: list[ForwardRecord]) -> Callable[[], None]:
    """Add to `forward_records` what goes into the network and comes out of its head; returns what
    ends that."""
    ids_BT: list[Tensor] = []

    def record_ids(embedding: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        ids_BT.append(args[0])

    def record_logits(head: nn.Module, args: tuple[Any, ...], logits_BTV: Tensor) -> None:
        if logits_BTV.requires_grad:
            logits_BTV.retain_grad()
        forward_records.append(ForwardRecord(ids_BT.pop(), logits_BTV, model.training))

    handles = (
        model.token_embedding.register_forward_hook(record_ids),
        model.head.register_forward_hook(record_logits),
    )

    def stop() -> None:
        for handle in handles:
            handle.remove()

    return stop


def _loss(
    loss: float,
    forward_records: list[ForwardRecord],
    targets_BT: Tensor,
    smoothing: float,
    scale: float,
) -> None:
    """`loss` and the gradient at the logits, against the cross-entropy of the next token."""
    logits_NV = (
        torch.cat([p.logits_BTV.detach() for p in forward_records]).cpu().double().flatten(0, 1)
    )
    target_probabilities_NV = torch.full_like(logits_NV, smoothing / VOCABULARY)
    target_probabilities_NV.scatter_(
        1, targets_BT.reshape(-1, 1), 1 - smoothing + smoothing / VOCABULARY
    )
    expected = float(-(target_probabilities_NV * logits_NV.log_softmax(-1)).sum(-1).mean())
    if not abs(loss - expected) <= SAME_LOSS * expected:
        raise failure("the loss", f"{loss:.4g} nats per token in a rehearsed step",
                    f"{expected:.4g}, the mean cross-entropy of the next token")  # fmt: skip
    arrived = [p.logits_BTV.grad for p in forward_records if p.logits_BTV.grad is not None]
    if len(arrived) < len(forward_records):
        raise failure("the loss", "logits without a gradient", "a gradient at all of them")
    got_NV = torch.cat(arrived).cpu().double().flatten(0, 1) / scale
    gradient_NV = (logits_NV.softmax(-1) - target_probabilities_NV) / len(logits_NV)
    if not float((got_NV - gradient_NV).norm()) <= SAME_GRADIENT * float(gradient_NV.norm()):
        raise failure("the loss", "a gradient at the logits that is not that of the loss",
                    "probability less target, every token of the batch alike")  # fmt: skip


def _norm(model: Transformer, tokens: Tensor, plan: TrainPlan) -> float:
    """Norm of the gradients of this batch alone, taken at once."""
    tokens = tokens.to(plan.execution.device)
    with autocast_precision(plan.execution):
        logits_BTV = model(tokens[:, :-1])
    loss = F.cross_entropy(
        logits_BTV.float().flatten(0, 1), tokens[:, 1:].flatten(),
        label_smoothing=plan.config.label_smoothing,
    )  # fmt: skip
    gradients = torch.autograd.grad(SCALE * loss, list(model.parameters()), allow_unused=True)
    return math.hypot(*(float(g.norm()) for g in gradients if g is not None)) / SCALE


def _gradient(norm: float | None, expected: float) -> None:
    if norm is None or not abs(norm - expected) <= SAME_GRADIENT * expected:
        raise failure("gradients", f"a norm of {norm or math.nan:.4g} in a rehearsed step",
                    f"{expected:.4g}, of its batch alone and unscaled")  # fmt: skip


def _after(state: TrainState, plan: TrainPlan, record: Step) -> None:
    rate = plan.learning_rate(record.step - 1)
    groups = [group for optimizer in state.optimizers for group in optimizer.param_groups]
    taken = [record.learning_rate, *(group["lr"] / group["scale"] for group in groups)]
    wrong = [r for r in taken if not math.isclose(r, rate, rel_tol=1e-6)]
    if wrong:
        raise failure("optimizer", f"a rate of {wrong[0]:g} in a rehearsed step",
                    f"that of the schedule, {rate:g}")  # fmt: skip
    stale_gradients = [
        n for n, p in state.model.named_parameters() if p.grad is not None and p.grad.any()
    ]
    if stale_gradients:
        raise failure(stale_gradients[0], "a gradient that is left over after its step", "none")


def _check_all_weights_updated(model: Transformer, start: dict[str, Tensor]) -> None:
    """Each weight; but a key's bias adds the same to all scores of a row, which changes nothing."""
    still = [name for name, weight in model.named_parameters()
             if torch.equal(weight, start[name]) and not name.endswith("key.bias")]  # fmt: skip
    if still:
        raise failure(still[0], f"a weight that {STEPS} rehearsed steps do not move",
                    "every weight to learn")  # fmt: skip


def _same_after_resume(model: Transformer, resumed: Transformer, before: dict[str, Tensor]) -> None:
    apart, total_change = 0.0, 0.0
    others = dict(resumed.named_parameters())
    with torch.no_grad():
        for name, weight in model.named_parameters():
            apart += float((weight - others[name]).square().sum())
            total_change += float((weight - before[name]).square().sum())
    if not apart <= SAME_STEP**2 * total_change:
        raise failure("a resume", "another step than the uninterrupted one", "the same step")


def _check_evaluation_mode(model: Transformer, batches: BatchSampler) -> None:
    """In evaluation mode, and back in training mode after it."""
    forward_records: list[ForwardRecord] = []
    stop_watching = _record_forward(model, forward_records)
    text = batches.tokens[: LENGTH + 1]
    evaluate(model, text, np.ones(VOCABULARY, dtype=np.int64), LENGTH)
    stop_watching()
    if any(one.training for one in forward_records):
        raise failure(
            "evaluation", "a network in training mode", "evaluation mode, without dropout"
        )
    if not all(part.training for part in model.modules()):
        raise failure("evaluation", "a network left in evaluation mode", "its mode put back")
