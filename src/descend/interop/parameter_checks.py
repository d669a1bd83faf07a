"""Mistakes that a program's parameters show while it trains."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn
from torch.optim import Optimizer

from descend.units import format_count, list_names

NUM_LISTED = 3
"""Names of parameters in one sentence."""
COVERAGE_STEPS = 10
"""Updates after which a parameter without any gradient is named."""


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


class ParameterChecks:
    """Looks at the parameters of a training loop; what is wrong comes as sentences."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        self._model = model
        self._outside = find_parameters_outside(model, optimizers) if optimizers else []
        self._coverage: GradientCoverage | None = GradientCoverage(model, self._outside)
        self._look_for_nonfinite = False

    def check_optimizers(self) -> list[str]:
        """Parameters that no optimizer holds."""
        if not self._outside:
            return []
        return [
            f"The optimizer does not hold {_count_and_list(self._outside)}, so training does not "
            "change them. Fix: give the optimizer all trainable parameters, or freeze these with "
            "requires_grad_(False)."
        ]

    def expect_nonfinite(self) -> None:
        """Look for gradients that are not finite before the next update."""
        self._look_for_nonfinite = True

    def check_coverage(self, num_updates: int) -> list[str]:
        """Parameters that got no gradient so far, once, before the update after `num_updates`."""
        if self._coverage is None:
            return []
        self._coverage.update()
        if num_updates + 1 != COVERAGE_STEPS:
            return []
        missing, self._coverage = self._coverage.missing(), None
        return _coverage_warning(missing)

    def check_finite(self, num_updates: int) -> list[str]:
        """Gradients that are not finite, where that is expected."""
        if not self._look_for_nonfinite:
            return []
        self._look_for_nonfinite = False
        return _nonfinite_warning(find_nonfinite_gradients(self._model), num_updates)


def _coverage_warning(missing: list[str]) -> list[str]:
    if not missing:
        return []
    return [
        f"{_count_and_list(missing)} got no gradient in {COVERAGE_STEPS} updates, so training "
        "does not change them. Fix: use them in the loss, look for a detach() or no_grad() "
        "before them, or freeze them with requires_grad_(False)."
    ]


def _nonfinite_warning(names: list[str], num_updates: int) -> list[str]:
    if not names:
        return []
    return [
        f"After step {num_updates} the gradient of {_count_and_list(names)} is not finite. "
        "Fix: lower the learning rate, clip gradients, and look for a division by zero or "
        "a logarithm of zero."
    ]


def _count_and_list(names: list[str]) -> str:
    """`3 parameters (a, b, c)`, with at most `NUM_LISTED` names."""
    return f"{format_count(len(names), 'parameter')} ({list_names(names, NUM_LISTED)})"
