"""The batches of a program: a list, a loader, a generator, or a function that draws one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from torch import Tensor

from descend.program_check.probes.call_program import call_part
from descend.program_check.program import Program
from descend.program_check.program_failures import format_exception
from descend.program_check.results import UndeterminedError

MAX_BATCHES = 48
"""Batches that are drawn: enough to see an order, few enough to take no time."""


@dataclass(frozen=True)
class DataSource:
    """The first batches, in order."""

    batches: tuple[Any, ...]


def read_first_batches(program: Program) -> DataSource:
    """Return the first batches of `program`; `UndeterminedError` where it has none."""
    source = program.get("batches")
    try:
        if not callable(source) or isinstance(source, Iterable):
            return _from(source)
        value = call_part(program, "batches")
        if is_batch(value):
            more = [call_part(program, "batches") for _ in range(MAX_BATCHES - 1)]
            return DataSource((value, *more))
        return _from(value)
    except UndeterminedError:
        raise
    except Exception as problem:
        raise UndeterminedError(f"`batches` raised {format_exception(problem)}") from problem


def _from(value: Any) -> DataSource:
    if not isinstance(value, Iterable):
        raise UndeterminedError(f"`batches` gives {type(value).__name__}, which holds no batches")
    batches = tuple(islice(iter(value), MAX_BATCHES))
    if not batches:
        raise UndeterminedError("`batches` gives no batch")
    if isinstance(value, Tensor):
        batches = tuple(x if x.ndim > 1 else x[None] for x in batches)
    return DataSource(batches)


def is_batch(value: Any) -> bool:
    """Return whether a function of batches returned one batch rather than something that holds
    many."""
    if isinstance(value, Tensor):
        return value.ndim == 2
    if isinstance(value, Mapping):
        return any(isinstance(x, Tensor) for x in value.values())
    return isinstance(value, tuple) and bool(value) and all(isinstance(x, Tensor) for x in value)
