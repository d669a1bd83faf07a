"""What must hold of our own network before its first step; a few milliseconds, nothing changed.

The same signals as `descend check` uses on other people's programs. A failure is a fault in
descend (or in what was changed of it), never the user's.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer

from descend.errors import PreflightError
from descend.model.transformer import Transformer
from descend.signals.influence import MOVED, moves_by_position

ROWS, POSITIONS = 2, 32
"""Of the first batch so much is looked at: a mask that is wrong is wrong there too."""

SPARE = 0.5
"""Nats by which the first loss may exceed ln V. With all presets it is within 0.1 of it; a first
loss a nat higher means logits of deviation above 1."""

SILENT = 0.05
"""Deviation of what stands in for weights that start at zero and would hide a leak."""


def preflight(
    model: Transformer, optimizers: list[Optimizer], first_batch: NDArray[np.int64], fresh: bool
) -> None:
    """Causal mask, dropout off in evaluation, every weight in one optimizer, first loss near ln V.

    `first_batch`: tokens (B, T + 1). `fresh`: the weights are as they were drawn. Raises
    `PreflightError`.
    """
    _all_weights_once(model, optimizers)
    device = next(model.parameters()).device
    tokens = torch.from_numpy(first_batch[:ROWS, : POSITIONS + 1]).to(device)
    ids = tokens[:, :-1]
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            if fresh:
                _first_loss(model(ids), tokens[:, 1:])
            _causal(_audible(model), ids)
    finally:
        model.train(training)


def _all_weights_once(model: Transformer, optimizers: list[Optimizer]) -> None:
    held = [id(p) for o in optimizers for g in o.param_groups for p in g["params"]]
    own = {id(p): name for name, p in model.named_parameters()}
    missing = [name for key, name in own.items() if held.count(key) != 1]
    if missing or len(held) != len(own):
        raise PreflightError(
            "optimizer", f"{missing[0] if missing else 'a weight'} not exactly once in a group",
            "every weight of the network once", "report this",
        )  # fmt: skip


def _first_loss(logits_BTV: Tensor, targets_BT: Tensor) -> None:
    loss = float(F.cross_entropy(logits_BTV.float().flatten(0, 1), targets_BT.flatten()))
    uniform = math.log(logits_BTV.shape[-1])
    if not loss < uniform + SPARE:
        raise PreflightError(
            "the first loss", f"{loss:.2f} nats per token",
            f"about {uniform:.2f}, the logarithm of the vocabulary", "report this",
        )  # fmt: skip


def _audible(model: Transformer) -> Transformer:
    """A copy in which weights that start at zero are small numbers."""
    other = copy.deepcopy(model)
    for weight in other.parameters():
        if weight.ndim > 1 and not bool(weight.any()):
            numbers = torch.linspace(-1.7, 1.7, 97, device=weight.device, dtype=weight.dtype)
            count = weight.numel()
            weight.copy_(numbers.repeat(count // 97 + 1)[:count].view_as(weight) * SILENT)
    return other


def _causal(model: Transformer, ids: Tensor) -> None:
    if ids.shape[1] < 2:
        return
    last = ids.shape[1] - 1
    changed = ids.clone()
    changed[:, last] = (changed[:, last] + 1) % model.shape.vocab_size
    moved_T = moves_by_position(model, ids, changed)
    if float(moved_T[:last].max()) > MOVED:
        raise PreflightError(
            "attention", "logits that move when a later token changes, or from call to call",
            "a causal network with dropout off in evaluation", "report this",
        )  # fmt: skip
    if not float(moved_T[last]) > MOVED:
        raise PreflightError(
            "the network", "logits that do not depend on the token",
            "logits that do", "report this",
        )  # fmt: skip
