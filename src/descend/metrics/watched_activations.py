"""What flows through the layers of any torch program: sizes, silent units, attention.

Read in the forward pass that the program makes anyway. Cost class: cheap; one look in 25 steps.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from descend.metrics.activations import DEAD_UNIT_THRESHOLD
from descend.runs.events import ActivationStats

MIN_POSITIONS = 32
"""A unit that is silent at fewer positions may be so by chance."""
MAX_ROW_ERROR = 1e-3
"""Rows of attention weights sum to 1 within this; after dropout they do not, and are not read."""


class ActivationRecorder:
    """Looks at the first training pass after `start`, and never changes what it sees.

    A layer is a module that holds a matrix, such as `Linear`. A layer that is called several times
    is read once. Nothing is read of compiled modules: a hook would have them compiled again.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._handles: list[RemovableHandle] = []
        self._rms: dict[str, Tensor] = {}
        self._dead: dict[str, Tensor] = {}
        self._entropy: dict[str, Tensor] = {}

    def start(self) -> None:
        """Look at the next pass."""
        self.stop()
        modules = dict(self._model.named_modules())
        if any(_is_compiled(module) for module in modules.values()):
            return
        for name, module in modules.items():
            has_matrix = any(p.ndim >= 2 for p in module.parameters(recurse=False))
            is_attention = "attention" in type(module).__name__.lower()
            if has_matrix or is_attention:
                self._handles.append(module.register_forward_hook(self._make_hook(name)))

    def stop(self) -> None:
        """Remove the hooks and forget what was seen."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._rms, self._dead, self._entropy = {}, {}, {}

    def take(self, step: int) -> ActivationStats | None:
        """Return what was seen since `start`, and stop; None if nothing was, or is not finite."""
        groups = [
            {name: float(value) for name, value in tensors.items()}
            for tensors in (self._rms, self._dead, self._entropy)
        ]
        self.stop()
        values = [value for group in groups for value in group.values()]
        if not values or not all(map(math.isfinite, values)):
            return None
        return ActivationStats(step, *groups)

    def _make_hook(self, name: str) -> Any:
        def look(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if torch.compiler.is_compiling():  # a compiled graph would keep the look for ever
                return
            if not module.training or not torch.is_grad_enabled() or name in self._rms:
                return
            with torch.no_grad():
                self._look(name, inputs, output)

        return look

    def _look(self, name: str, inputs: tuple[Any, ...], output: Any) -> None:
        first = output[0] if isinstance(output, tuple) and output else output
        if not isinstance(first, Tensor) or not first.is_floating_point() or not first.numel():
            return
        self._rms[name] = _rms(first)
        source = inputs[0] if inputs else None
        # Data that the program feeds in may well be zero everywhere; units of a layer may not.
        if isinstance(source, Tensor) and source.requires_grad and source.ndim >= 2:
            units_NM = source.detach().flatten(0, -2).abs()
            if len(units_NM) >= MIN_POSITIONS:
                silent_M = units_NM.amax(0) <= DEAD_UNIT_THRESHOLD * _rms(source)
                self._dead[name] = silent_M.float().mean()
        if isinstance(output, tuple) and len(output) > 1:
            entropy = attention_entropy(output[1])
            if entropy is not None:
                self._entropy[name] = entropy


def attention_entropy(weights: object) -> Tensor | None:
    """Mean entropy of rows of attention weights (…, T, S) over that of an even look (0 to 1).

    Of rows that see at least two positions. None for anything else than such weights.
    """
    if not isinstance(weights, Tensor) or weights.ndim < 3 or not weights.is_floating_point():
        return None
    rows = weights.detach().float()
    num_visible = (rows > 0).sum(-1)
    counts = num_visible >= 2
    is_attention = ((rows.sum(-1) - 1).abs().amax() < MAX_ROW_ERROR) & (rows.amin() >= 0)
    if not bool(is_attention & counts.any()):
        return None
    entropy = -torch.special.xlogy(rows, rows).sum(-1)[counts]
    mean: Tensor = (entropy / num_visible[counts].log()).mean()
    return mean


def _is_compiled(module: nn.Module) -> bool:
    compiled = getattr(module, "_compiled_call_impl", None) is not None
    return compiled or hasattr(module, "_orig_mod")


def _rms(x: Tensor) -> Tensor:
    return x.detach().float().square().mean().sqrt()
