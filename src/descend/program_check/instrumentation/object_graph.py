"""Everything that a program can get at: the objects behind the names of its module.

Followed are names, containers, closures, methods, the attributes of the program's own objects,
and the modules of its own that its functions come from. torch, numpy and whatever else is
installed are not entered.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import CellType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

OWN_PARTS_OF_TORCH = ("torch.optim.lr_scheduler", "torch.amp", "torch.cuda.amp", "torch.utils.data",
                      "accelerate.scheduler")  # fmt: skip
"""Of what is installed, these hold state of the program and are entered."""

MAX_ITEMS = 1_000
"""Items of a list or set that are followed: a longer one is data."""

PLAIN = (int, float, complex, bool, str, bytes, type(None), torch.dtype, torch.device, type)

LEAVES = (Tensor, Optimizer, torch.Generator, random.Random, np.random.Generator, np.ndarray)


def reachable_objects(*roots: Mapping[str, Any]) -> list[Any]:
    """Return every object of state behind `roots`, each once, a holder before what it holds."""
    objects: list[Any] = []
    visited_ids: set[int] = set()
    waiting: list[Any] = list(reversed(roots))
    while waiting:
        value = waiting.pop()
        if isinstance(value, PLAIN) or id(value) in visited_ids:
            continue
        visited_ids.add(id(value))
        objects.append(value)
        waiting.extend(_referenced_objects(value))
    return objects


def _referenced_objects(value: Any) -> Iterator[Any]:
    if isinstance(value, LEAVES):
        return
    if isinstance(value, Mapping):
        yield from (v for k, v in list(value.items()) if not is_hidden(k))
    elif isinstance(value, nn.Module):
        for module in value.modules():  # plain attributes: counters, caches, drawn numbers
            yield from (v for k, v in vars(module).items() if not k.startswith("_"))
    elif isinstance(value, list | tuple | set | frozenset):
        if len(value) <= MAX_ITEMS:
            yield from list(value)
    elif isinstance(value, MethodType):
        yield value.__self__
        yield value.__func__
    elif isinstance(value, FunctionType):
        yield from value.__closure__ or ()
        yield from value.__defaults__ or ()
        if is_own_code(value.__globals__):
            yield value.__globals__
    elif isinstance(value, CellType):
        with suppress(ValueError):  # an empty cell
            yield value.cell_contents
    elif is_own_object(value):
        yield vars(value)


def is_hidden(name: object) -> bool:
    """Return whether a name belongs to Python rather than to the program."""
    return isinstance(name, str) and name.startswith("__")


def is_own_object(value: Any) -> bool:
    """Return whether `value` is an object of the program's own that has attributes."""
    home = type(value).__module__ or ""
    own = home.startswith(OWN_PARTS_OF_TORCH) or is_own_code(
        vars(sys.modules[home]) if home in sys.modules else {}
    )
    return own and isinstance(getattr(value, "__dict__", None), dict)


def is_own_code(names: Mapping[str, Any]) -> bool:
    """Return whether these are the names of a module that somebody wrote, not of one installed."""
    file = names.get("__file__")
    top = str(names.get("__name__", "")).partition(".")[0]
    if top in sys.stdlib_module_names and top != "__main__":
        return False
    return (
        bool(file) and "site-packages" not in str(file) and top not in ("descend", "torch", "numpy")
    )
