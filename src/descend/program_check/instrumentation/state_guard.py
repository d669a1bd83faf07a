"""Leave a program as it was found: weights, modes, optimizer state, counters, random numbers.

What cannot be put back (a half-read generator, a file, a network) is not touched by the probes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from types import CellType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from descend.program_check.instrumentation.object_graph import (
    PLAIN,
    is_hidden,
    is_own_object,
    reachable_objects,
)

MAX_COPIED = 65_536
"""Numbers in a tensor outside of model and optimizer that is copied: counters and averages are
smaller, a corpus is larger and is read, not written."""

RestoreFn = Callable[[], Any]


@contextmanager
def preserve_state(*roots: Mapping[str, Any]) -> Iterator[None]:
    """Inside it anything may happen to what the names in `roots` hold; afterwards it is undone."""
    undo: list[RestoreFn] = [_random_numbers(), _switches()]
    weights: set[int] = set()
    # Networks first: a weight that an optimizer holds too is put back with its gradient.
    for value in sorted(reachable_objects(*roots), key=lambda v: not isinstance(v, nn.Module)):
        undo.extend(_undo_of(value, weights))
    try:
        yield
    finally:
        for back in reversed(undo):
            back()


def _undo_of(value: Any, weights: set[int]) -> Iterator[RestoreFn]:
    if isinstance(value, nn.Module):
        yield _network(value, weights)
    elif isinstance(value, Optimizer):
        yield _optimizer(value)
        for parameter in (p for g in value.param_groups for p in g["params"]):
            if id(parameter) not in weights:  # held by the optimizer alone: a stale one
                weights.add(id(parameter))
                yield _tensor(parameter)
    elif isinstance(value, Tensor):
        if value.numel() <= MAX_COPIED and id(value) not in weights:
            yield _tensor(value)
    elif isinstance(value, MutableMapping):
        yield _names(value)
    elif isinstance(value, list):
        items = list(value)
        yield lambda: value.__setitem__(slice(None), items)
    elif isinstance(value, CellType):
        yield from _cell(value)
    elif isinstance(value, torch.Generator):
        torch_state = value.get_state()
        yield lambda: value.set_state(torch_state)
    elif isinstance(value, random.Random):
        python_state = value.getstate()
        yield lambda: value.setstate(python_state)
    elif isinstance(value, np.random.Generator):
        numpy_state = value.bit_generator.state
        yield lambda: setattr(value.bit_generator, "state", numpy_state)
    elif is_own_object(value):
        yield _names(vars(value))


def _random_numbers() -> RestoreFn:
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]

    def back() -> None:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)

    return back


def _switches() -> RestoreFn:
    threads, grad, dtype = (
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
    )

    def back() -> None:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.set_grad_enabled(grad)
        torch.set_default_dtype(dtype)

    return back


def _names(names: MutableMapping[Any, Any]) -> RestoreFn:
    bound = {k: v for k, v in names.items() if not is_hidden(k)}

    def back() -> None:
        for key in [k for k in names if not is_hidden(k) and k not in bound]:
            del names[key]
        for key, value in bound.items():
            if key not in names or names[key] is not value:
                names[key] = value

    return back


def _cell(cell: CellType) -> Iterator[RestoreFn]:
    try:
        content = cell.cell_contents
    except ValueError:  # an empty cell
        return
    yield lambda: setattr(cell, "cell_contents", content)


def _tensor(value: Tensor) -> RestoreFn:
    content = value.detach().clone()
    return lambda: value.detach().copy_(content)


def _network(model: nn.Module, weights: set[int]) -> RestoreFn:
    tensors = [t for t in (*model.parameters(), *model.buffers()) if id(t) not in weights]
    weights.update(id(t) for t in tensors)
    contents = [(t, t.data, t.detach().clone(), t.requires_grad, t.grad,
                 None if t.grad is None else t.grad.detach().clone()) for t in tensors]  # fmt: skip
    modules = [
        (m, m.training, {k: v for k, v in vars(m).items() if not k.startswith("_")})
        for m in model.modules()
    ]

    def back() -> None:
        with torch.no_grad():
            for tensor, data, content, requires_grad, grad, grad_content in contents:
                tensor.data = data
                tensor.copy_(content)
                if tensor.is_leaf:
                    tensor.requires_grad_(requires_grad)
                if grad is not None and grad_content is not None:
                    grad.copy_(grad_content)
                tensor.grad = grad
        for module, training, plain in modules:
            vars(module).update(plain)
            module.training = training

    return back


def _optimizer(optimizer: Optimizer) -> RestoreFn:
    groups = [(g, dict(g), list(g["params"])) for g in optimizer.param_groups]
    state = {p: (s, {k: (v, v.clone() if isinstance(v, Tensor) else v) for k, v in s.items()})
             for p, s in optimizer.state.items()}  # fmt: skip
    known = vars(optimizer)
    plain = {k: v for k, v in known.items() if isinstance(v, (*PLAIN, tuple))}
    saved_groups, saved_state = optimizer.param_groups, optimizer.state

    def back() -> None:
        optimizer.param_groups = saved_groups
        saved_groups[:] = [group for group, _, _ in groups]
        for group, values, params in groups:
            group.clear()
            group.update(values)
            group["params"][:] = params
        optimizer.state = saved_state
        saved_state.clear()
        for parameter, (inner, values) in state.items():
            inner.clear()
            for key, (value, content) in values.items():
                if isinstance(value, Tensor):
                    value.detach().copy_(content)
                inner[key] = value
            saved_state[parameter] = inner
        known.update(plain)

    return back
