"""Whether the examples of a batch act on each other: changed examples, moved outputs of others.

Shapes: B batch, T position, V vocabulary, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from descend.metrics.logit_change import MIN_LOGIT_CHANGE, relative_logit_change
from descend.program_check.probes.network import (
    NetworkHandle,
    evaluation_probe_mode,
    make_network_handle,
)
from descend.program_check.probes.recorded_forward import RecordedCall, record_two_calls
from descend.program_check.probes.token_influence import find_mixing_layers, first_tensor
from descend.program_check.program import Program
from descend.program_check.results import UndeterminedError

MIN_EXAMPLE_CHANGE = 0.01
"""Change of the outputs of one example, as a fraction of their size, that another one explains:
above what a scale of numbers that the whole batch shares does to them."""


@dataclass(frozen=True)
class ExampleInfluence:
    """What one example of a batch does to the outputs of the others."""

    num_examples: int
    change: float
    """Largest change of the others' outputs, as a fraction of their size; 0 where none follows."""
    parts: tuple[str, ...] = ()
    """Names of the parts of the network in which examples act on each other."""
    are_texts: bool = True
    """Whether each position of an example has an output: a language model."""


def text_influence(program: Program) -> ExampleInfluence:
    """Change one text of a batch and watch the logits of the others."""
    net = program.run_probe_once(make_network_handle)
    if not net.has_known_axis:
        raise UndeterminedError("the targets do not show which axis of a batch is the text")
    num_rows = net.ids_BT.shape[1 - net.time]
    if num_rows < 2:
        raise UndeterminedError("the batches hold one text each")
    with evaluation_probe_mode(program.model):
        base = net.forward(net.ids_BT).float()
        _check_repeatable(base, net.forward(net.ids_BT))
        changes = []
        for row in (0, num_rows - 1):
            other = net.forward(_with_changed_row(net, row))
            change_B = relative_logit_change(base, other).transpose(0, 1 - net.time).flatten(1)
            changes.append(float(change_B.amax(1)[torch.arange(num_rows) != row].max()))
        change = max(changes)
        if change < MIN_EXAMPLE_CHANGE or not _has_gradient(program.model, net):
            return ExampleInfluence(num_rows, 0.0)
        rows_as_text = replace(net, time=1 - net.time)
        parts = tuple(m.name for m in find_mixing_layers(program.model, rows_as_text))
    return ExampleInfluence(num_rows, change, parts)


def _check_repeatable(base: Tensor, again: Tensor) -> None:
    if not torch.isfinite(base).all():
        raise UndeterminedError("the outputs are not finite")
    if float(relative_logit_change(base, again).max()) > MIN_LOGIT_CHANGE:
        raise UndeterminedError("the outputs differ from call to call")


def _with_changed_row(net: NetworkHandle, row: int) -> Tensor:
    ids = net.ids_BT
    for position in range(net.length):
        changed = net.with_changed_token(position)
        at = (row, position) if net.time == 1 else (position, row)
        ids = ids.clone()
        ids[at] = changed[at]
    return ids


def _has_gradient(model: nn.Module, net: NetworkHandle) -> bool:
    """Return whether the others' logits follow an example smoothly, as by attention or a norm.

    Experts of limited size drop tokens of one example for those of another: without a gradient.
    True where that cannot be determined.
    """
    vectors: list[Tensor] = []

    def free(_module: nn.Module, _args: Any, output: Any) -> Any:
        if isinstance(output, Tensor) and output.shape[:-1] == net.ids_BT.shape:
            vectors.append(output.detach().requires_grad_(True))
            return vectors[-1]
        return output

    hooks = [m.register_forward_hook(free) for m in model.modules() if isinstance(m, nn.Embedding)]
    try:
        with torch.enable_grad():
            for row, others in ((0, slice(1, None)), (-1, slice(-1))):
                vectors.clear()
                logits = net.forward(net.ids_BT).transpose(0, 1 - net.time)
                if not vectors or not logits.requires_grad:
                    return True
                size = logits[others].float().square().sum()
                (gradient,) = torch.autograd.grad(size, vectors[:1], allow_unused=True)
                if gradient is not None and bool(gradient.transpose(0, 1 - net.time)[row].any()):
                    return True
    except Exception:  # a network that cannot be differentiated tells nothing
        return True
    finally:
        for hook in hooks:
            hook.remove()
    return False


def output_influence(program: Program) -> ExampleInfluence:
    """Change one example of a batch that has one output for each, such as a class."""
    if len(program.optimizers) > 1:
        raise UndeterminedError(
            "several optimizers: such networks may compare the examples of a batch"
        )
    norms = [m for m in program.model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if any(not m.track_running_stats for m in norms):
        raise UndeterminedError("a batch norm without running averages is meant to mix examples")
    first, second = record_two_calls(program)
    if all(torch.equal(a, b) for a, b in zip(first.tensors, second.tensors, strict=False)):
        raise UndeterminedError("each step is given the same examples: they may be one graph")
    axes = _example_axes(first)
    num_examples = first.output.shape[0]
    inputs: list[tuple[str, Any, Tensor]] = []
    hooks = [
        m.register_forward_pre_hook(_note_input(n, inputs), with_kwargs=True)
        for n, m in program.model.named_modules() if hasattr(m, "batch_first")
    ]  # fmt: skip
    try:
        with evaluation_probe_mode(program.model):
            base = first.run(program.model)
            parts = tuple(n for n, m, x in inputs if not m.batch_first and x.ndim == 3
                          and x.shape[0] == num_examples and x.shape[1] > 1)  # fmt: skip
            _check_repeatable(base, first.run(program.model))
            changes = []
            for at, other in ((0, 1), (num_examples - 1, 0)):
                swaps = {id(t): _with_copy(t, axes[id(t)], at, other) for t in first.tensors}
                change_B = relative_logit_change(base, first.run(program.model, swaps))
                change_B = change_B.reshape(num_examples, -1).amax(1)
                changes.append(float(change_B[torch.arange(num_examples) != at].max()))
    finally:
        for hook in hooks:
            hook.remove()
    change = max(changes)
    return ExampleInfluence(
        num_examples, change if change >= MIN_EXAMPLE_CHANGE else 0.0, parts, are_texts=False
    )


def _note_input(name: str, inputs: list[tuple[str, Any, Tensor]]) -> Callable[..., None]:
    def note(module: nn.Module, args: Any, kwargs: Any) -> None:
        x = first_tensor((*args, *kwargs.values()))
        if x is not None:
            inputs.append((name, module, x))

    return note


def _example_axes(call: RecordedCall) -> dict[int, int]:
    """Return the axis of the examples of each input, by its id: the only one as long as the
    outputs are many."""
    shape = call.output.shape
    if len(shape) not in (1, 2) or shape[0] < 2 or (len(shape) == 2 and shape[1] == shape[0]):
        raise UndeterminedError("the network gives no one output for each example")
    axes: dict[int, int] = {}
    for tensor in call.tensors:
        fitting = [n for n, size in enumerate(tensor.shape) if size == shape[0]]
        if len(fitting) != 1:
            raise UndeterminedError("the axis of the examples cannot be determined from the sizes")
        axes[id(tensor)] = fitting[0]
    others = [v for v in (*call.args, *call.kwargs.values()) if not isinstance(v, Tensor)]
    if not axes or any(not isinstance(v, int | float | str | None) for v in others):
        raise UndeterminedError("the network is given more than tensors")
    return axes


def _with_copy(tensor: Tensor, axis: int, at: int, other: int) -> Tensor:
    """Return a batch with another of its examples at one place."""
    changed = tensor.detach().clone()
    changed.select(axis, at).copy_(tensor.detach().select(axis, other))
    return changed
