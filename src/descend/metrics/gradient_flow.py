"""How much gradient reaches each layer, from what a run recorded while it trained.

Cost class: free.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import msgspec

from descend.runs.events import WeightUpdateStats

_BLOCK = re.compile(r"blocks\.(\d+)\.")


class GradientFlow(msgspec.Struct, frozen=True):
    """Root mean squares of the gradient, a row a layer and a column a recorded step."""

    steps: list[int]
    layers: list[str]
    """From the input to the output: `embedding`, `block 1`, …, `head`."""
    gradient_rms: list[list[float]]
    """A row for each of `layers`, a value for each of `steps`."""


def gradient_flow(records: Sequence[WeightUpdateStats], max_steps: int) -> GradientFlow:
    """Return the gradient of each layer at no more than `max_steps` of the recorded steps.

    The matrices of a layer are put together by the root of the mean of their squares.
    """
    if not records:
        return GradientFlow([], [], [])
    stride = math.ceil(len(records) / max_steps)
    selected = list(records[::-stride])[::-1]  # the last one stays
    groups = _layers(list(selected[0].gradient_rms))
    return GradientFlow(
        steps=[record.step for record in selected],
        layers=list(groups),
        gradient_rms=[
            [
                math.sqrt(sum(record.gradient_rms[name] ** 2 for name in names) / len(names))
                for record in selected
            ]
            for names in groups.values()
        ],
    )


def _layers(matrices: Sequence[str]) -> dict[str, list[str]]:
    """Return the names of the matrices of each layer, from the input to the output."""
    blocks: dict[int, list[str]] = {}
    embedding: list[str] = []
    head: list[str] = []
    for name in matrices:
        if match := _BLOCK.match(name):
            blocks.setdefault(int(match[1]), []).append(name)
        elif name.startswith("head"):
            head.append(name)
        else:
            embedding.append(name)
    layers = {f"block {number + 1}": names for number, names in sorted(blocks.items())}
    return {
        name: names
        for name, names in {"embedding": embedding, **layers, "head": head}.items()
        if names
    }
