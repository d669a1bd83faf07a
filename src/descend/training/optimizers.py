"""AdamW and Muon behind one learning rate."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer

from descend.config import RunConfig
from descend.machine import Execution
from descend.model.transformer import Transformer
from descend.training.eager_optimizer import EagerAdamW
from descend.training.lora_adapters import LORA_LR_MULTIPLIER, has_adapters
from descend.training.muon import Muon

MUON_LR_MULTIPLIER = 20.0
"""Muon's rate for the matrices of the blocks, in units of `learning_rate`: with it, 0.001 is
near the best for either optimizer (the ablations in docs/recipe.md)."""

MUON_ADAMW_LR_MULTIPLIER = 10.0
"""AdamW's rate for embeddings, head and vectors beside Muon, in units of `learning_rate`."""

MUON_MOMENTUM = 0.95
ADAMW_BETAS = (0.9, 0.999)
"""torch's own defaults, which is what a guide that says "AdamW" means."""

MUON_OTHERS_BETAS = (0.9, 0.95)
"""A shorter memory suits the short runs that Muon makes possible (docs/recipe.md)."""


def make_optimizers(
    model: Transformer,
    config: RunConfig,
    execution: Execution | None = None,
    own_rows: dict[nn.Parameter, nn.Parameter] | None = None,
) -> list[Optimizer]:
    """Return one or two optimizers over all trained weights, each in exactly one group.

    Muon's matrix products are as those of `execution`: in its precision, and recorded where steps
    are replayed. Without it in float32. `own_rows`: what is trained of each weight, where processes
    divide them.

    Only matrices decay: not biases and norms; with Muon only the matrices of the blocks. Each
    group carries `scale`, what `set_learning_rate` multiplies the rate by.
    """
    inner = {id(p) for p in model.blocks.parameters() if p.ndim == 2}
    weights = [p for p in model.parameters() if p.requires_grad]
    block_matrices = [p for p in weights if id(p) in inner]
    tables = [p for p in weights if p.ndim >= 2 and id(p) not in inner]
    vectors = [p for p in weights if p.ndim < 2]
    fused = next(model.parameters()).device.type in ("cpu", "cuda")
    if config.optimizer == "adamw":
        scale = LORA_LR_MULTIPLIER if has_adapters(model) else 1.0
        groups = [
            _group(block_matrices + tables, scale, config.weight_decay, own_rows),
            _group(vectors, scale, 0.0, own_rows),
        ]
        groups = [group for group in groups if group["params"]]
        return [EagerAdamW(groups, lr=0.0, betas=ADAMW_BETAS, fused=fused)]
    inner_group = _group(block_matrices, MUON_LR_MULTIPLIER, config.weight_decay, own_rows)
    outer_group = _group(tables + vectors, MUON_ADAMW_LR_MULTIPLIER, 0.0, own_rows)
    # float16 cannot hold the small products on the way.
    exact = execution is None or execution.precision == "float32"
    muon_type = torch.float32 if exact else torch.bfloat16
    recorded = execution is not None and execution.cuda_graph
    return [
        Muon([inner_group], 0.0, MUON_MOMENTUM, muon_type, recorded),
        EagerAdamW([outer_group], lr=0.0, betas=MUON_OTHERS_BETAS, fused=fused),
    ]


def _group(
    params: list[nn.Parameter],
    scale: float,
    weight_decay: float,
    own_rows: dict[nn.Parameter, nn.Parameter] | None,
) -> dict[str, object]:
    if own_rows:
        params = [own_rows[p] for p in params]
    return {"params": params, "scale": scale, "weight_decay": weight_decay}


def set_learning_rate(optimizers: list[Optimizer], rate: float) -> None:
    """Give every group its fraction of `rate`."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]


def clip_grad_norm(model: Transformer, norm: float) -> torch.Tensor:
    """Scale all gradients so that their common norm is at most `norm` (0: leave them); returns
    the norm as it was."""
    return nn.utils.clip_grad_norm_(model.parameters(), norm or float("inf"), foreach=True)
