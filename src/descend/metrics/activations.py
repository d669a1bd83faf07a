"""What flows through a model: how large it is, which units never speak, how many directions it
uses. Cost class: forward; one pass over the passages looked at, and the eigenvalues of a D by D
matrix for each block.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from descend.model.transformer import Block, FeedForward, Transformer

DEAD_UNIT_THRESHOLD = 1e-3
"""Of the root mean square of its layer's units: a unit that never exceeds it is called dead. The
squared ReLU of `modern` is exactly 0 there; the GELU of `gpt` is so small only below about -4."""


ZERO_THRESHOLD = 1e-9
"""Of the largest number: singular values that add up to less are rounding."""


class BlockActivationStats(msgspec.Struct, frozen=True):
    """Of one block, over all positions of the passages."""

    layer: int
    """From 1."""
    rms: float
    """Root mean square of what leaves the block (embeddings of deviation 1 come in)."""
    dead_unit_fraction: float
    """Fraction of the feed-forward units that stay silent at every position (0 to 1)."""
    effective_rank: float
    """Directions that what leaves the block uses: 1 to D."""


@torch.no_grad()
def block_activation_stats(
    model: Transformer, ids_BT: NDArray[np.int64]
) -> list[BlockActivationStats]:
    """Return what leaves each block of `model` on the passages `ids_BT`.

    In evaluation mode; the mode of the model is left as it was found. Source of dead units: Lu et
    al. 2019, "Dying ReLU and initialization"; of the effective rank: see `effective_rank`.
    """
    streams: list[Tensor] = []
    units: list[Tensor] = []

    def catch(captured: list[Tensor], of: Callable[[tuple[Any, ...], Tensor], Tensor]) -> Any:
        def look(_: nn.Module, inputs: tuple[Any, ...], out: Tensor) -> None:
            captured.append(of(inputs, out).float().flatten(0, 1))

        return look

    hooks = []
    for module in model.modules():
        if isinstance(module, Block):
            hooks.append(module.register_forward_hook(catch(streams, lambda inputs, out: out)))
        elif isinstance(module, FeedForward):
            # What comes into the narrowing product are the units after their bend.
            look = catch(units, lambda inputs, out: inputs[0])
            hooks.append(module.down.register_forward_hook(look))
    was_training = model.training
    model.eval()
    try:
        model(torch.from_numpy(ids_BT).to(next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
    return [
        BlockActivationStats(
            layer,
            rms=_rms(stream_ND),
            dead_unit_fraction=dead_unit_fraction(unit_NM),
            effective_rank=effective_rank(stream_ND),
        )
        for layer, (stream_ND, unit_NM) in enumerate(zip(streams, units, strict=True), 1)
    ]


def dead_unit_fraction(units_NM: Tensor) -> float:
    """Return the fraction of the M units that at none of N positions exceed `DEAD_UNIT_THRESHOLD`
    times the root mean square of all (0 to 1); 1 where all are 0."""
    max_activation_M = units_NM.abs().amax(0)
    return float((max_activation_M <= DEAD_UNIT_THRESHOLD * _rms(units_NM)).float().mean())


def effective_rank(x_ND: Tensor) -> float:
    """exp of the entropy of the singular values, taken as shares of their sum (1 to D).

    Of `x_ND` less its mean over N, since a direction that all positions share tells none apart. k
    where it spreads evenly over k directions; 0 where all rows are equal. Source: Roy and Vetterli
    2007, "The effective rank: a measure of effective dimensionality".
    """
    x = x_ND.double()
    if not bool(x.isfinite().all()):
        return math.nan
    x = x - x.mean(0)
    # The squares of the singular values, D by D: far quicker than taking N by D apart.
    values = torch.linalg.eigvalsh(x.T @ x).clamp(min=0).sqrt()
    total = float(values.sum())
    if total <= ZERO_THRESHOLD * max(1.0, float(x_ND.abs().max())):
        return 0.0
    return float((-torch.special.xlogy(values / total, values / total).sum()).exp())


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())
