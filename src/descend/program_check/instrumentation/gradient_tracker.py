"""Gradients added up as they arrive, and what of the old ones is still held beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

WATCHED_WEIGHTS = 8
MAX_WATCHED = 2**18
"""So many weights, none larger than this, have their gradients added up beside torch."""

WELL_EXPLAINED = 0.05
"""Fraction of a gradient that may be left unexplained when it is split into old and new."""

ROUNDING = 1e-6
"""Fraction of a gradient up to which what seems old is rounding; what was forgotten beside a loss
scale of 65536 is more than 1e-5 of it."""

APART = 0.995
"""Cosine of old and new gradient above which no split can tell them apart."""


class GradientTracker:
    """Gradients as they arrive, beside what torch makes of them."""

    def __init__(
        self, weights: Iterable[tuple[str, Tensor]], others: Mapping[str, Tensor] | None = None
    ) -> None:
        """Follow `weights`; of `others` it is noted alone whether a gradient came."""
        named = [(n, p) for n, p in weights if p.requires_grad and p.is_leaf]
        small = [p for _, p in named if p.numel() <= MAX_WATCHED]
        stride = max(1, len(small) // WATCHED_WEIGHTS)
        self.watched = small[::stride][:WATCHED_WEIGHTS]
        self.came: dict[int, Tensor] = {}
        self.last_came: dict[int, Tensor] = {}
        self.num_discarded: dict[int, int] = {}
        self.stale_gradients: dict[int, Tensor] = {}
        self.arrived: set[str] = set()
        self.any_since: set[int] = set()
        named += [(n, p) for n, p in (others or {}).items() if p.requires_grad and p.is_leaf]
        self.hooks = [p.register_hook(self._noter(n, p)) for n, p in named]  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Follow the gradients no longer."""
        for hook in self.hooks:
            hook.remove()

    def _noter(self, name: str, weight: Tensor) -> Any:
        key, watched = id(weight), any(weight is w for w in self.watched)

        def record_gradient(gradient: Tensor) -> None:
            self.arrived.add(name)
            if key not in self.any_since and bool(gradient.any()):
                self.any_since.add(key)
            if watched:
                plain = _dense(gradient)
                if key in self.came and not _holds_gradient(weight):
                    self.num_discarded[key] = self.num_discarded.get(key, 0) + 1
                self.last_came[key] = plain.clone()
                self.came[key] = self.came[key] + plain if key in self.came else plain.clone()

        return record_gradient

    def split(self, weights: list[Tensor]) -> tuple[float | None, float | None]:
        """Return how much of the gradients now held is old and new: medians over the watched
        weights."""
        old, new = [], []
        for w in self.watched:
            if any(w is x for x in weights) and w.grad is not None and id(w) in self.came:
                a, b = _parts(w.grad, self.came[id(w)], self.stale_gradients.get(id(w)))
                new.extend([] if a is None else [a])
                old.extend([] if b is None else [b])
        return _median(old), _median(new)

    def discarded_parts(self, weights: list[Tensor]) -> int:
        """Return how many gradients had been cleared before the last arrived, which alone is held.

        The median over the watched weights. What another sums elsewhere, as `autograd.grad` lets
        one do, is held in `grad` as a sum, and counts as nothing cleared.
        """
        counts = []
        for w in self.watched:
            last = self.last_came.get(id(w))
            if last is None or w.grad is None or not any(w is x for x in weights):
                continue
            only_last = _is_multiple(w.grad, last)
            counts.append(self.num_discarded.get(id(w), 0) if only_last else 0)
        return sorted(counts)[len(counts) // 2] if counts else 0

    def after_update(self, weights: list[Tensor]) -> None:
        """Begin to count anew for `weights`."""
        for w in self.watched:
            if any(w is x for x in weights):
                for gradients in (self.came, self.last_came, self.num_discarded):
                    gradients.pop(id(w), None)
                self.stale_gradients.pop(id(w), None)
                if w.grad is not None:
                    self.stale_gradients[id(w)] = _dense(w.grad).clone()
        self.any_since -= {id(w) for w in weights}


def _parts(
    gradient: Tensor, came: Tensor, stale_gradient: Tensor | None
) -> tuple[float | None, float | None]:
    """Return `gradient` as new x came + old x left, by least squares: (new, old); None:
    undetermined."""
    g, s = _dense(gradient).double().flatten(), came.double().flatten()
    if not (torch.isfinite(g).all() and torch.isfinite(s).all()) or not s.any():
        return None, None
    if stale_gradient is None or not stale_gradient.any():
        a = float(g @ s / (s @ s))
        return (a, None) if _rest(g, a * s) < WELL_EXPLAINED else (None, None)
    o = stale_gradient.double().flatten()
    ss, oo, so = s @ s, o @ o, s @ o
    if float(so.abs() / (ss * oo).sqrt()) > APART:
        return None, None
    det = ss * oo - so * so
    a = float((oo * (g @ s) - so * (g @ o)) / det)
    b = float((ss * (g @ o) - so * (g @ s)) / det)
    if _rest(g, a * s + b * o) > WELL_EXPLAINED:
        return None, None
    if abs(b) * float(oo.sqrt()) < ROUNDING * float(g.norm()):
        return a, 0.0
    # Clipping scales both alike: old is reported in units of new.
    return a, b / a if abs(a) > 1e-12 else None


def _dense(gradient: Tensor) -> Tensor:
    """Return `gradient` with every entry: a sparse one lists only the rows that were used."""
    plain = gradient.detach()
    return plain if plain.layout == torch.strided else plain.to_dense()


def _holds_gradient(weight: Tensor) -> bool:
    return weight.grad is not None and bool(weight.grad.any())


def _is_multiple(gradient: Tensor, of: Tensor) -> bool:
    """Return whether `gradient` is `of`, scaled, as clipping does."""
    g, s = _dense(gradient).double().flatten(), of.double().flatten()
    if not (torch.isfinite(g).all() and torch.isfinite(s).all() and g.any() and s.any()):
        return False
    return _rest(g, float(g @ s / (s @ s)) * s) < WELL_EXPLAINED


def _rest(g: Tensor, like: Tensor) -> float:
    return float((g - like).norm() / g.norm().clamp_min(1e-300))


def _median(values: list[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None
