"""Whether a frozen base is meant: what is trained beside it."""

from __future__ import annotations

import re
from itertools import combinations

from torch import Tensor, nn

NAMES = re.compile(r"lora|adapter|prefix|prompt|soft_?embed|ia3", re.IGNORECASE)
"""Names of what is trained where the rest is frozen on purpose."""

MAX_TRAINED_FRACTION = 0.05
"""Of all numbers: fewer are trained beside a base, never a network with a forgotten freeze.
LoRA trains 0.01 to 2 % (Hu et al. 2021, table 2), bottleneck adapters 2 to 4 % (Houlsby 2019)."""


def is_frozen_on_purpose(model: nn.Module) -> bool:
    """Return whether the weights that can learn are few, or of low rank beside a frozen matrix."""
    named = dict(model.named_parameters())
    trained = {n: p for n, p in named.items() if p.requires_grad}
    if not trained or len(trained) == len(named):
        return False
    if any(NAMES.search(n) for n in trained):
        return True
    total = sum(p.numel() for p in named.values())
    if sum(p.numel() for p in trained.values()) < MAX_TRAINED_FRACTION * total:
        return True
    width = _width(model)
    groups: dict[str, list[Tensor]] = {}
    for name, p in trained.items():
        if p.ndim == 2:
            parents = name.split(".")[:-1]
            for depth in range(max(0, len(parents) - 1), len(parents) + 1):
                groups.setdefault(".".join(parents[:depth]), []).append(p)
    return any(
        _is_low_rank(a, b, width) for group in groups.values() for a, b in combinations(group, 2)
    )


def _width(model: nn.Module) -> int:
    """Return the size of the vectors that flow through the network: that of its first embedding."""
    tables = [m.embedding_dim for m in model.modules() if isinstance(m, nn.Embedding)]
    return tables[0] if tables else max((min(p.shape) for p in model.parameters() if p.ndim == 2),
                                        default=0)  # fmt: skip


def _is_low_rank(a: Tensor, b: Tensor, width: int) -> bool:
    """Return whether `a` then `b` lead from the network's width or more through at most half of
    it."""
    for down, up in ((a, b), (b, a)):
        as_layers = down.shape[0] == up.shape[1] and min(down.shape[1], up.shape[0]) >= width
        as_products = down.shape[1] == up.shape[0] and min(down.shape[0], up.shape[1]) >= width
        if as_layers and 2 * down.shape[0] <= width:
            return True
        if as_products and 2 * down.shape[1] <= width:
            return True
    return False
