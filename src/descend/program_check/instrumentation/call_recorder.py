"""What a network is given and what its loss asks of it, read at its logits.

The gradient that arrives at the logits tells all about a cross-entropy, whoever computes it and
wherever: for a position with target y and weight w it is w (softmax(z) - onehot(y)). So the
target is where it is lowest, the weight follows, a position that is left out has none, and a
softmax too many gives another gradient. Nothing is read from the program's source.

Shapes: B batch, T position, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

MAX_NUMBERS = 2**26
"""Logits of one forward that are looked at in full (256 MB in float32); of more, the first rows."""

FAR_OFF = 0.5
"""Fraction of a gradient left unexplained from which its direction is another: smoothing of labels
and distillation leave less."""

NO_LOGARITHM = 1e-3
"""Deviation of a row's sum from 1 up to which outputs count as probabilities (half precision)."""


@dataclass
class ModelCall:
    """One call of the network."""

    ids_BT: Tensor
    input_ids_arg: Tensor
    """The very tensor of ids that stands in `args` or `kwargs`."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    training: bool
    half: bool
    """Whether some of it was computed in float16."""
    probabilities: bool = False
    """Whether the outputs are not negative and sum to 1."""
    targets_BT: Tensor | None = None
    weights_BT: Tensor | None = None
    """How much each position counts; 0 where it is left out. Sums to 1 for a plain mean."""
    misfit: float = 1.0
    """Fraction of the gradient that no cross-entropy of the logits explains."""
    unexplained_rows: float = 0.0
    """Fraction of the positions whose gradient is far from that of any cross-entropy, as where a
    loss pushes a token down: a preference, a reward."""
    misfit_of_two: float = 1.0
    """The same for a cross-entropy of the softmax of the logits."""
    is_nonfinite: bool = False
    """Whether a gradient arrived that is not finite, or an output was not."""
    finite_logits: bool = True
    heads: list[ModelCall] = field(default_factory=list)
    """Further outputs over the vocabulary in the same call: auxiliary heads."""
    other_ids: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    """Further ids of the same shape among the arguments, each with a copy: of the decoder's side
    where a source is as long as its target."""
    is_inner: bool = False
    """Whether `given` is no argument but what the network made of one (shifted labels)."""

    @property
    def learned_from(self) -> bool:
        """Whether a gradient came back."""
        return self.weights_BT is not None or self.is_nonfinite

    @property
    def total_weight(self) -> float:
        """Sum of all weights."""
        return 0.0 if self.weights_BT is None else float(self.weights_BT.sum())


@dataclass
class PlainCall:
    """A call of a network that was given no token ids."""

    training: bool
    learned_from: bool = False
    """Whether a gradient came back."""

    def note_gradient(self, _gradient: Tensor) -> None:
        """Note that a gradient came back."""
        self.learned_from = True


@dataclass
class CallRecorder:
    """The calls of a network since the tap was opened."""

    model_calls: list[ModelCall] = field(default_factory=list)
    plain_calls: list[PlainCall] = field(default_factory=list)


@contextmanager
def record_calls(model: nn.Module) -> Iterator[CallRecorder]:
    """Watch every call of `model`; nothing that it computes changes."""
    opened = CallRecorder()
    half: list[bool] = [False]
    inner_ids: list[Tensor] = []
    outputs: list[Tensor] = []
    # The table of tokens, which is registered first.
    sizes = [m.num_embeddings for m in model.modules() if isinstance(m, nn.Embedding)][:1]

    def note_output(_module: nn.Module, _args: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.dtype == torch.float16:
            half[0] = True
        if isinstance(output, Tensor) and output.ndim > 1 and output.shape[-1] in sizes:
            outputs.append(output)

    def note_ids(_module: nn.Module, args: Any) -> None:
        inner_ids.extend(x for x in args if is_ids(x) and x.ndim == 2)

    def before(_module: nn.Module, _args: Any) -> None:
        half[0] = False
        inner_ids.clear()
        outputs.clear()

    def after(module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        ids = ids_of(args, kwargs)
        if ids is None:
            opened.plain_calls.append(_plain_call(module, output))
            return
        logits = logits_of(output)
        returns_losses = logits is None or logits.shape == ids.shape
        if returns_losses and outputs:  # the last output over the vocabulary makes them
            logits = outputs[-1]
        ids, is_inner = _ids_of_logits(ids, logits, args, kwargs, inner_ids)
        call = ModelCall(ids.detach().clone(), ids, args, kwargs, module.training, half[0],
                    is_inner=is_inner)  # fmt: skip
        call.other_ids = [
            (x, x.detach().clone())
            for x in (*args, *(v for k, v in kwargs.items() if k not in TARGET_NAMES))
            if is_ids(x) and x is not ids and x.shape == ids.shape
        ]
        opened.model_calls.append(call)
        if logits is None:
            return
        _read_at(call, logits)
        for other in _other_heads(logits, [*outputs, *_tensors_in(output)]):
            head = ModelCall(call.ids_BT, ids, args, kwargs, module.training, half[0])
            call.heads.append(head)
            _read_at(head, other)

    hooks = [m.register_forward_hook(note_output) for m in model.modules() if m is not model]
    hooks += [m.register_forward_pre_hook(note_ids) for m in model.modules() if m is not model]
    hooks.append(model.register_forward_pre_hook(before))
    hooks.append(model.register_forward_hook(after, with_kwargs=True))
    try:
        yield opened
    finally:
        for hook in hooks:
            hook.remove()


def _plain_call(module: nn.Module, output: Any) -> PlainCall:
    call = PlainCall(module.training)
    tensors = [output] if isinstance(output, Tensor) else _tensors_in(output)
    for tensor in tensors:
        if tensor.requires_grad:
            tensor.register_hook(call.note_gradient)  # type: ignore[no-untyped-call]
    return call


def _read_at(model_call: ModelCall, logits: Tensor) -> None:
    """Have `model_call` filled once a gradient comes back to `logits`."""
    if logits.requires_grad:
        plain = logits.detach()
        logits.register_hook(lambda gradient: read_gradient(model_call, plain, gradient))  # type: ignore[no-untyped-call]


def _other_heads(logits: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """Of `tensors`, the outputs over the vocabulary of `logits` that are not `logits` itself."""
    heads: dict[int, Tensor] = {}
    for x in tensors:
        if x.ndim > 1 and x.shape[-1] == logits.shape[-1] and x.data_ptr() != logits.data_ptr():
            heads.setdefault(x.data_ptr(), x)
    return list(heads.values())


def _tensors_in(output: Any) -> list[Tensor]:
    values = output.values() if isinstance(output, Mapping) else output
    if not isinstance(output, Mapping | tuple | list):
        return []
    tensors: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor) and value.is_floating_point() and value.requires_grad:
            tensors.append(value)
        elif isinstance(value, tuple | list):
            tensors.extend(_tensors_in(value))
    return tensors


TARGET_NAMES = ("labels", "targets", "target", "y")
"""Arguments of a network that are no input of it."""


def _ids_of_logits(
    ids: Tensor, logits: Tensor | None, args: tuple[Any, ...], kwargs: Mapping[str, Any],
    inner_ids: list[Tensor],
) -> tuple[Tensor, bool]:  # fmt: skip
    """Return the ids that the logits belong to, and whether they are no argument of the network.

    Of an encoder-decoder these are the decoder's, which may be made of the labels inside.
    """
    if logits is None or logits.ndim != 3 or ids.ndim != 2 or ids.shape == logits.shape[:2]:
        return ids, False
    if ids.numel() == logits.numel() // logits.shape[-1]:
        return ids, False
    given = [*args, *(v for k, v in kwargs.items() if k not in TARGET_NAMES)]
    for candidates, is_inner in ((given, False), (inner_ids, True)):
        for value in reversed(candidates):
            if is_ids(value) and value.shape == logits.shape[:2]:
                return value, is_inner
    return ids, False


def is_ids(value: Any) -> bool:
    """Return whether `value` is a tensor of whole numbers."""
    return (
        isinstance(value, Tensor) and value.dtype in (torch.int64, torch.int32) and value.ndim > 0
    )


def ids_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    """Return the token ids among the arguments of a network: the first whole numbers."""
    for value in (kwargs.get("input_ids"), *args, *kwargs.values()):
        if isinstance(value, Mapping):
            value = value.get("input_ids")
        if isinstance(value, Tensor) and is_ids(value):
            return value
    return None


def logits_of(output: Any) -> Tensor | None:
    """Return the logits in what a network returns: a tensor, `.logits`, `["logits"]`, or the first
    of a tuple that has a dimension more than a loss has."""
    if isinstance(output, Tensor):
        return output if output.is_floating_point() and output.ndim >= 2 else None
    logits = (
        output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    )
    if isinstance(logits, Tensor):
        return logits
    if isinstance(output, tuple | list):
        return next((x for x in map(logits_of, output) if x is not None), None)
    return None


def loss_of(output: Any) -> Tensor | float | None:
    """Return the loss in what a step or a network returns, if it returns one."""
    if isinstance(output, int | float) and not isinstance(output, bool):
        return float(output)
    if isinstance(output, Tensor):
        return output if output.numel() == 1 and output.is_floating_point() else None
    loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    if loss is not None:
        return loss_of(loss)
    if isinstance(output, tuple | list):
        return next((x for x in map(loss_of, output) if x is not None), None)
    return None


@torch.no_grad()
def read_gradient(call: ModelCall, logits: Tensor, gradient: Tensor) -> None:
    """Fill `call` from the gradient at its logits."""
    vocabulary = logits.shape[-1]
    rows = logits.numel() // vocabulary
    num_rows = max(1, min(rows, MAX_NUMBERS // vocabulary))
    z_RV = logits.reshape(rows, vocabulary)[:num_rows].float()
    g_RV = gradient.detach().reshape(rows, vocabulary)[:num_rows].float()
    call.finite_logits = bool(torch.isfinite(z_RV).all())
    if not (call.finite_logits and torch.isfinite(g_RV).all()):
        call.is_nonfinite = True
        return
    p_RV = z_RV.softmax(-1)
    y_R = g_RV.argmin(-1)
    g_y = g_RV.gather(1, y_R[:, None])[:, 0]
    p_y = p_RV.gather(1, y_R[:, None])[:, 0]
    live = g_RV.abs().amax(-1) > 0
    sums = z_RV.sum(-1)
    call.probabilities = bool((z_RV >= 0).all() and ((sums - 1).abs() < NO_LOGARITHM).all()) and (
        vocabulary > 2 or _is_softmax_of_two(z_RV, p_RV, g_RV, y_R)
    )
    # Where the softmax is the network's own, the loss touches the target's output alone.
    others = g_RV.abs().sum(-1) + g_y
    alone = bool(live.any()) and bool((others[live] < 1e-4 * -g_y[live]).all())
    each = (
        (-g_y * z_RV.gather(1, y_R[:, None])[:, 0] if call.probabilities else -g_y)
        if alone
        else -g_y / (1 - p_y).clamp_min(1e-6)
    )
    weights = torch.where(live, each, torch.zeros_like(g_y))
    shape = call.ids_BT.shape if call.ids_BT.numel() == num_rows else (1, num_rows)
    targets = y_R.reshape(shape)
    call.targets_BT = targets
    _choose_ids(call)
    before = call.weights_BT
    call.weights_BT = weights.reshape(shape) + (0 if before is None else before)
    if bool(live.any()):
        once, twice = _misfits(p_RV[live], g_RV[live], y_R[live])
        call.misfit, call.misfit_of_two = float(once.median()), float(twice.median())
        call.unexplained_rows = float((once > FAR_OFF).float().mean())


NEXT_TOKENS = 0.9
"""Fraction of the targets that are the next of some ids, from which those are the ones read."""


def _choose_ids(call: ModelCall) -> None:
    """Take other ids of the same shape if the targets are their next tokens, and not of `ids`."""
    y = call.targets_BT
    if y is None or not call.other_ids or y.shape != call.ids_BT.shape or y.ndim != 2:
        return
    for given, ids in [(call.input_ids_arg, call.ids_BT), *call.other_ids]:
        if float((y[:, :-1] == ids[:, 1:].to(y.device)).float().mean()) >= NEXT_TOKENS:
            call.input_ids_arg, call.ids_BT = given, ids
            break
    call.other_ids = []


def _is_softmax_of_two(z_RV: Tensor, p_RV: Tensor, g_RV: Tensor, y_R: Tensor) -> bool:
    """Return whether two probabilities, V = 2, are taken for logits by a cross-entropy.

    The gradient of a binary cross-entropy, which is right, has the same direction: it falls with
    the probability p of the target as 1 / p, and that of a cross-entropy as 1 - softmax(p).
    """
    z, p, g = (x.gather(1, y_R[:, None])[:, 0] for x in (z_RV, p_RV, -g_RV))
    if len(z) < 2 or not bool((g > 0).all()):
        return False
    of_logits, of_probabilities = _variation(g / (1 - p)), _variation(g * z)
    return of_logits < NO_LOGARITHM and of_logits < of_probabilities / 2


def _variation(values: Tensor) -> float:
    return float(values.std() / values.mean().clamp_min(1e-30))


def _misfits(p_RV: Tensor, g_RV: Tensor, y_R: Tensor) -> tuple[Tensor, Tensor]:
    """Return how badly a cross-entropy of logits, and one of their softmax, explain the
    gradient."""
    num_rows = 256  # rows are alike: more of them say no more
    p, g, y = p_RV[:num_rows].double(), g_RV[:num_rows].double(), y_R[:num_rows, None]
    once = p.scatter_add(1, y, torch.full_like(p[:, :1], -1.0))
    again = p.softmax(-1)
    again = again.scatter_add(1, y, torch.full_like(p[:, :1], -1.0))
    twice = p * (again - (p * again).sum(-1, keepdim=True))
    return _misfit(g, once), _misfit(g, twice)


def _misfit(g: Tensor, like: Tensor) -> Tensor:
    scale = (g * like).sum(-1, keepdim=True) / like.square().sum(-1, keepdim=True).clamp_min(1e-300)
    rest: Tensor = (g - scale * like).norm(dim=-1) / g.norm(dim=-1).clamp_min(1e-300)
    return rest
