"""Mistakes that a program's parameters show while it trains."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.optim import Optimizer

NUM_LISTED = 3
"""Names of parameters in one sentence."""


def find_parameters_outside(model: nn.Module, optimizers: Iterable[Optimizer]) -> list[str]:
    """Names of trainable parameters that no optimizer holds."""
    in_optimizer = {id(p) for o in optimizers for group in o.param_groups for p in group["params"]}
    return [n for n, p in model.named_parameters() if p.requires_grad and id(p) not in in_optimizer]


def find_nonfinite_gradients(model: nn.Module) -> list[str]:
    """Names of parameters whose gradient holds a number that is not finite, in module order."""
    return [
        name
        for name, p in model.named_parameters()
        if p.grad is not None and not bool(p.grad.isfinite().all())
    ]


class GradientCoverage:
    """Remembers which trainable parameters received a gradient at least once."""

    def __init__(self, model: nn.Module, outside: Iterable[str]) -> None:
        excluded = set(outside)
        self._missing = {
            name: p
            for name, p in model.named_parameters()
            if p.requires_grad and name not in excluded
        }

    def update(self) -> None:
        """Look at the gradients of this update. A zero gradient counts as one."""
        if self._missing:
            self._missing = {n: p for n, p in self._missing.items() if p.grad is None}

    def missing(self) -> list[str]:
        """Names of parameters without a gradient so far."""
        return list(self._missing)


def list_names(names: list[str]) -> str:
    """`3 parameters (a, b, c)`, with at most `NUM_LISTED` names."""
    noun = "parameter" if len(names) == 1 else "parameters"
    more = ", …" if len(names) > NUM_LISTED else ""
    return f"{len(names)} {noun} ({', '.join(names[:NUM_LISTED])}{more})"
