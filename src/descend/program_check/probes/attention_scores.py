"""By what the scores of attention are scaled: followed through torch's own operations.

Every tensor carries the factor by which it was multiplied since it left a weight. A product of two
activations whose result goes into a softmax over its last dimension is a table of scores; its
factor times those of query and key should be near 1 / sqrt(K).

K is the head size: the dimension that the product sums over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from descend.program_check.probes.network import evaluation_probe_mode, make_network_handle
from descend.program_check.program import Program
from descend.program_check.results import UndeterminedError


@dataclass(frozen=True)
class AttentionScore:
    """One softmax over scores."""

    factor: float
    head_size: int
    free: bool
    """Whether something that learns or norms sets the scale."""


@dataclass
class TensorProvenance:
    """What is known of a tensor."""

    tensor: Tensor
    factor: float = 1.0
    head_size: int | None = None
    free: bool = False
    normed: bool = False


PRODUCTS = {"bmm", "mm", "baddbmm", "matmul"}
KEEPS = {
    "view", "_unsafe_view", "reshape", "transpose", "permute", "t", "expand", "clone", "slice",
    "select", "split", "split_with_sizes", "unbind", "chunk", "unsqueeze", "squeeze", "_to_copy",
    "contiguous", "detach", "alias", "cat", "add", "add_", "sub", "masked_fill", "masked_fill_",
    "where", "_reshape_alias", "unfold", "as_strided", "mul_", "div_", "tril", "triu", "neg",
    "index_select", "copy_", "stack",
}  # fmt: skip
"""Operations whose result has the factor of the first marked tensor that went in."""

SUMS = {"add", "add_", "sub"}

NORMS = {"rsqrt", "native_layer_norm", "linalg_vector_norm", "_fused_rms_norm", "norm", "rms_norm"}
BOUNDED = {"tanh", "tanh_", "sigmoid", "sigmoid_", "mkldnn_rnn_layer", "_thnn_fused_gru_cell",
           "_thnn_fused_lstm_cell", "_cudnn_rnn", "lstm", "gru"}  # fmt: skip
"""Results between -1 and 1, as the states of a recurrent network: their product is no sum of large
numbers, and attention over them has no scale (Luong et al. 2015, equation 8)."""
FUSED = "_scaled_dot_product"


class ScaleTracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Mark tensors as they are computed."""

    def __init__(self, weights: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.weights = weights
        self.marks: dict[int, TensorProvenance] = {}
        self.scores: list[AttentionScore] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        self._record_call(name, args, kwargs, out)
        return out

    def _record_call(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
    ) -> None:
        tensors = _tensors(args)
        marked = [self.marks[id(t)] for t in tensors if id(t) in self.marks]
        if name.startswith(FUSED):
            self._fused(tensors, kwargs, args)
        elif name in PRODUCTS and not self._has_weight(tensors):
            a, b = tensors[-2:]
            factor, free = self._product(a, b)
            factor *= float(kwargs.get("alpha", 1.0))
            self._mark(out, factor, a.shape[-1], free)
        elif name in ("mul", "div", "mul_", "div_") and args and isinstance(args[0], Tensor):
            self._scaled(name, args, marked, out)
        elif name in ("_softmax", "_safe_softmax", "softmax", "exp"):
            mark = self.marks.get(id(args[0]))
            last = name == "exp" or args[1] in (-1, args[0].ndim - 1)
            if mark is not None and mark.head_size and last:
                self.scores.append(AttentionScore(mark.factor, mark.head_size, mark.free))
        elif name in BOUNDED or name in NORMS:
            self._mark(out, free=True, normed=name in NORMS)
        elif name in KEEPS and marked:
            best = next((m for m in marked if m.head_size), marked[0])
            of_sum = self._factor_of_sum(tensors, out) if name in SUMS else None
            factor = best.factor if of_sum is None or best.head_size else of_sum
            self._mark(out, factor, best.head_size, best.free, best.normed)

    def _factor_of_sum(self, tensors: list[Tensor], out: Any) -> float | None:
        """Return 1 for parts that are scaled apart, as a low-rank adapter beside its base; else
        None."""
        parts = [t for t in tensors if isinstance(out, Tensor) and t.shape == out.shape]
        factors = {self.marks[id(t)].factor if id(t) in self.marks else 1.0 for t in parts}
        return 1.0 if len(factors) > 1 else None

    def _scaled(
        self, name: str, args: tuple[Any, ...], marked: list[TensorProvenance], out: Tensor
    ) -> None:
        mark = next((m for m in marked if m.head_size), marked[0] if marked else None)
        factor = _number(args[1])
        free = any(m.free for m in marked)
        if factor is None:
            free = free or any(t.numel() < out.numel() and (t.requires_grad or self._known(t))
                               for t in _tensors(args))  # fmt: skip
            factor = 1.0
        elif name.startswith("div"):
            factor = 1.0 / factor if factor else 1.0
        before = mark.factor if mark else 1.0
        size = mark.head_size if mark else None
        self._mark(out, before * factor, size, free, any(m.normed for m in marked))

    def _fused(self, tensors: list[Tensor], kwargs: dict[str, Any], args: tuple[Any, ...]) -> None:
        q, k = tensors[:2]
        size = q.shape[-1]
        scale = kwargs.get("scale")
        factor = 1.0 / math.sqrt(size) if scale is None else float(scale)
        of_both, free = self._product(q, k)
        self.scores.append(AttentionScore(factor * of_both, size, free))

    def _product(self, a: Tensor, b: Tensor) -> tuple[float, bool]:
        """Return the factor of a product, and whether something else sets its scale."""
        both = [self.marks.get(id(x), TensorProvenance(x)) for x in (a, b)]
        return both[0].factor * both[1].factor, any(m.free or m.normed for m in both)

    def _has_weight(self, tensors: list[Tensor]) -> bool:
        return any(self._known(t) for t in tensors)

    def _known(self, tensor: Tensor) -> bool:
        base = tensor if tensor._base is None else tensor._base
        return base.untyped_storage().data_ptr() in self.weights

    def _mark(
        self, out: Any, factor: float = 1.0, head_size: int | None = None,
        free: bool = False, normed: bool = False,
    ) -> None:  # fmt: skip
        """Write down what is known of a result, or of each of several."""
        for one in out if isinstance(out, list | tuple) else (out,):
            if isinstance(one, Tensor):
                self.marks[id(one)] = TensorProvenance(one, factor, head_size, free, normed)


def _tensors(args: Any) -> list[Tensor]:
    tensors: list[Tensor] = []
    for value in args:
        if isinstance(value, Tensor):
            tensors.append(value)
        elif isinstance(value, list | tuple):
            tensors.extend(_tensors(value))
    return tensors


def _number(value: Any) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, Tensor) and value.numel() == 1 and not value.requires_grad:
        return float(value)
    return None


def trace_attention_scores(program: Program) -> tuple[AttentionScore, ...]:
    """Return every softmax over scores in one forward; `UndeterminedError` where there is none."""
    net = program.run_probe_once(make_network_handle)
    weights = {p.untyped_storage().data_ptr() for p in program.model.parameters()}
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one operation that hides the scores
    try:
        with evaluation_probe_mode(program.model), ScaleTracer(weights) as follow, torch.no_grad():
            net.forward(net.ids_BT)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    if not follow.scores:
        raise UndeterminedError("no attention was seen in the network")
    return tuple(follow.scores)
