"""What a step minimises, and its two implementations: as written, and compiled."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from descend.data.cache_dir import cache_dir
from descend.machine import Execution
from descend.model.transformer import Transformer, run_block
from descend.training.cuda_graphs import CudaGraphLoss, LossFn

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

HeadFn = Callable[..., Any]
"""A function of the last norm, the head, what the last block gives, and further arguments."""

Runner = Callable[..., Any]
"""`run_as_written` or another that takes the same arguments."""

ROWS_PER_CHUNK = 256
"""Positions whose logits are worked on together, so that they stay in a processor's cache."""

MAX_LOGITS_PER_CHUNK = 2**26
"""The same on a GPU, in logits (a quarter of a gigabyte): there every part costs launches."""


def next_token_loss(
    model: Transformer, inputs_BT: Tensor, targets_BT: Tensor, label_smoothing: float
) -> tuple[Tensor, Tensor]:
    """Compute the mean loss in nats per token, and how many tokens the model holds likeliest are
    right.

    To be called within `autocast_precision`.
    """
    loss, hits = run_as_written(head_loss, model, inputs_BT, targets_BT, label_smoothing)
    return loss, hits


def head_loss(
    norm: nn.Module, head: nn.Module, x_BTD: Tensor, targets_BT: Tensor, label_smoothing: float
) -> tuple[Tensor, Tensor]:
    """Compute the same from what the last block gives."""
    logits_BTV = head(norm(x_BTD))
    if can_use_custom_cross_entropy(logits_BTV):
        return cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten(), label_smoothing)
    logits_BTV = logits_BTV.float()
    hits = (logits_BTV.detach().argmax(-1) == targets_BT).sum()
    return mean_cross_entropy(logits_BTV, targets_BT, label_smoothing), hits


def mean_cross_entropy(logits_BTV: Tensor, targets_BT: Tensor, label_smoothing: float) -> Tensor:
    """Cross-entropy in nats per token."""
    return F.cross_entropy(
        logits_BTV.flatten(0, 1), targets_BT.flatten(), label_smoothing=label_smoothing
    )


def can_use_custom_cross_entropy(logits: Tensor) -> bool:
    """Return whether `cross_entropy` may take `logits`: float16 needs its gradients scaled before
    they are rounded, and compiled code is fused anyway."""
    return logits.dtype != torch.float16 and not torch.compiler.is_compiling()


def cross_entropy(
    logits_NV: Tensor,
    targets_N: Tensor,
    label_smoothing: float,
    expected_NV: Tensor | None = None,
    expected_weight: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Return what torch's `cross_entropy` gives, and how many targets have the highest logit.

    The value is that of the targets. Of its gradient, the fraction `expected_weight` follows the
    probabilities `expected_NV` instead.
    """
    apply: Callable[..., tuple[Tensor, Tensor]] = _CrossEntropy.apply
    return apply(logits_NV, targets_N, label_smoothing, expected_NV, expected_weight)


class _CrossEntropy(torch.autograd.Function):
    """Loss, hits and gradient in one pass over the logits, a part at a time so that it stays in the
    processor's cache: twice as fast as torch's four passes, and no float32 copy of all logits."""

    @staticmethod
    def forward(
        ctx: Any,
        logits_NV: Tensor,
        targets_N: Tensor,
        label_smoothing: float,
        expected_NV: Tensor | None,
        expected_weight: float,
    ) -> tuple[Tensor, Tensor]:
        count, vocabulary = logits_NV.shape
        text_weight = 1 - expected_weight
        gradient_NV = torch.empty_like(logits_NV)
        total = torch.zeros((), device=logits_NV.device)
        hits = torch.zeros((), device=logits_NV.device, dtype=torch.long)
        on_cpu = logits_NV.device.type == "cpu"
        rows = ROWS_PER_CHUNK if on_cpu else max(1, MAX_LOGITS_PER_CHUNK // vocabulary)
        # An expanded zero costs no memory.
        also_NV = logits_NV.new_zeros(1, 1).expand(count, 1) if expected_NV is None else expected_NV
        parts = (torch.split(t, rows) for t in (logits_NV, targets_N, gradient_NV, also_NV))
        for logits, targets, gradient, expected in zip(*parts, strict=True):
            exact = gradient.dtype == torch.float32  # then worked out where it is kept
            logits = logits.float()
            top, likeliest = logits.max(-1, keepdim=True)
            right = targets[:, None]
            hits += (likeliest == right).sum()
            target_logits = (1 - label_smoothing) * logits.gather(1, right)
            if label_smoothing:
                target_logits += label_smoothing * logits.mean(-1, keepdim=True)
            x = torch.sub(logits, top, out=gradient if exact else None).exp_()
            scale = x.sum(-1, keepdim=True)
            total += (top + scale.log() - target_logits).sum()
            x.div_(scale.mul_(count))
            if label_smoothing:
                x.sub_(text_weight * label_smoothing / vocabulary / count)
            of_target = text_weight * (label_smoothing - 1) / count
            x.scatter_add_(1, right, torch.full_like(target_logits, of_target))
            if expected_weight:
                x.sub_(expected, alpha=expected_weight / count)
            if not exact:
                gradient.copy_(x)
        ctx.save_for_backward(gradient_NV)
        ctx.mark_non_differentiable(hits)
        return total / count, hits

    @staticmethod
    def backward(ctx: Any, outer: Tensor, _hits: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient_NV,) = ctx.saved_tensors
        if outer.device.type != "cpu" or outer.item() != 1.0:  # a GPU would have to be waited for
            gradient_NV = gradient_NV * outer
        return gradient_NV, None, None, None, None


def make_loss_fn(execution: Execution) -> LossFn:
    """Return `next_token_loss`, compiled or as a CUDA graph: that takes seconds at its first
    call."""
    compute: LossFn = next_token_loss
    if execution.compiled:
        compute = functools.partial(choose_runner(execution), head_loss)
    return CudaGraphLoss(compute, execution) if execution.cuda_graph else compute


def choose_runner(execution: Execution) -> Runner:
    """Return how a network and what is computed of its end are run together."""
    if not execution.compiled:
        return run_as_written
    return run_compiled_blocks if execution.device == "cpu" else compile_function(run_as_written)


def run_as_written(function: HeadFn, model: Transformer, inputs_BT: Tensor, *arguments: Any) -> Any:
    """Return `function` of the last norm and the head of `model`, of what its last block gives, and
    of `arguments`."""
    x_BTD = model.hidden_states(inputs_BT)
    return function(model.final_norm, model.head, x_BTD, *arguments)


def run_compiled_blocks(
    function: HeadFn, model: Transformer, inputs_BT: Tensor, *arguments: Any
) -> Any:
    """Return the same, each block compiled by itself, and `function` too.

    The code of one block serves all of them and any number of layers. On a processor it is about
    as fast as the whole network compiled (benchmarks/results/speed/amx/compiling.txt).
    """
    x_BTD = model.hidden_states(inputs_BT, block_fn=compile_function(run_block))
    return compile_function(function)(model.final_norm, model.head, x_BTD, *arguments)


def can_compile(device: str = "cpu") -> bool:
    """Return whether what torch needs to compile for `device` is here: a C++ compiler, and Triton
    for a GPU of NVIDIA. For others we do not."""
    names = (os.environ.get("CXX", ""), "g++", "clang++", "c++", "cl")
    compiler = any(name and shutil.which(name) for name in names)
    if device.startswith("cuda"):
        return compiler and importlib.util.find_spec("triton") is not None
    return compiler and device == "cpu"


def prefetch_compiler_info() -> None:
    """Have torch find out, beside other work, which instructions its compiler may use.

    It tries each set in a process of its own, a second in all, even where the code is in the
    cache already. To be called once the optimizers are there, which have the rest imported.
    """
    from torch._inductor import codecache, cpp_builder, cpu_vec_isa  # noqa: F401  (see below)

    enable_compile_cache()
    # What it needs is imported above: two threads in torch's circular imports would meet halves.
    threading.Thread(target=_pick_instructions, args=(cpu_vec_isa,), daemon=True).start()


def _pick_instructions(module: ModuleType) -> None:
    with suppress(Exception):  # the one who compiles gets the message
        module.pick_vec_isa()


@functools.cache
def compile_function(function: AnyFunction) -> AnyFunction:
    """Return `function`, compiled for the shapes that it is called with; the code is cached between
    runs."""
    enable_compile_cache()
    # What its probing of the processor and of tensors has to say is nothing that a user could fix.
    warnings.filterwarnings("ignore", module=r"torch\._(inductor|dynamo)")
    warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
    return cast(AnyFunction, torch.compile(function, dynamic=False))


def enable_compile_cache() -> None:
    """Keep compiled code between runs, so that only the first run with a shape pays in full.

    torch may have set its own folder below the temporary ones by now; a user's own is respected.
    """
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    name, torchs_own = "TORCHINDUCTOR_CACHE_DIR", default_cache_dir()
    if os.environ.get(name, torchs_own) == torchs_own:
        os.environ[name] = str(cache_dir() / "compiled")
