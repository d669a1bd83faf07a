"""What a learning rate schedule says of itself, and who steps it."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence, Set
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.optim.lr_scheduler import (
    ExponentialLR,
    LRScheduler,
    MultiStepLR,
    PolynomialLR,
    ReduceLROnPlateau,
    StepLR,
)

from descend.program_check.instrumentation.object_graph import reachable_objects
from descend.program_check.probes.call_program import call_part
from descend.program_check.probes.data_source import is_batch
from descend.program_check.program import Program
from descend.program_check.results import UndeterminedError


def schedule_length(scheduler: Any) -> int | None:
    """Return steps after which a torch schedule has run its course, where it says so."""
    parts = getattr(scheduler, "_schedulers", None)
    if parts:
        milestones = list(getattr(scheduler, "_milestones", []))
        last = schedule_length(parts[-1])
        return None if last is None else last + (milestones[-1] if milestones else 0)
    for name in ("T_max", "total_steps", "total_iters"):
        value = getattr(scheduler, name, None)
        if isinstance(value, int):
            return value
    return None


KINDS = (LRScheduler, ReduceLROnPlateau)
MAX_ITEMS = 20
"""Items of a list in which a schedule is looked for."""

MAX_SIMULATED = 50_000
"""Steps of a schedule that are made to see its rates; for more, only if it can but fall."""

FALLING = (StepLR, MultiStepLR, ExponentialLR, PolynomialLR)
"""Schedules that never rise again."""


def simulate_rates(scheduler: LRScheduler, num_steps: int) -> list[float]:
    """Return the rates of the next steps of a schedule, as fractions of the highest of them.

    Of several groups of weights the highest fraction counts. Empty where the schedule refuses, or
    is too long to be followed to its end. The schedule is put back.
    """
    groups, horizon = scheduler.optimizer.param_groups, min(num_steps, MAX_SIMULATED)
    is_short = horizon == num_steps or isinstance(scheduler, FALLING)
    if not is_short or any(isinstance(g["lr"], Tensor) for g in groups):
        return []
    rates: list[list[float]] = []
    before, known = [g["lr"] for g in groups], deepcopy(scheduler.state_dict())
    try:
        for _ in range(horizon):
            rates.append([float(g["lr"]) for g in groups])
            scheduler.step()
    except Exception:  # such as at the end of a schedule that has one
        return []
    finally:
        scheduler.load_state_dict(known)
        for group, rate in zip(groups, before, strict=True):
            group["lr"] = rate
    rates_SG = torch.tensor(rates, dtype=torch.float64)
    peak_G = rates_SG.amax(0).clamp_min(1e-300)
    return [float(rate) for rate in (rates_SG / peak_G).amax(1)]


@dataclass(frozen=True)
class SchedulerStepCall:
    """A place in the source where a schedule is stepped."""

    by_epoch: bool
    """Whether the loop around it has an inner loop that trains."""
    times: int | None
    """How often the loop around it runs, where the source says so."""
    line: int = 0


def find_scheduler_steps(program: Program) -> tuple[SchedulerStepCall, ...] | None:
    """Return where the source steps a schedule; None if there is no source to read.

    A last resort: a loop in `main()` or under `if __name__ == "__main__"` is not run.
    """
    try:
        tree = ast.parse(Path(program.file or "").read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    around: dict[ast.AST, ast.AST] = {}
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            around[child] = node
    names = scheduler_names(program)
    names |= {n.id for node in ast.walk(tree) if _goes_through(node, names)
              for n in ast.walk(node.target) if isinstance(n, ast.Name)}  # fmt: skip
    calls = [n for n in ast.walk(tree) if _is_step(n, True, names)]
    return tuple(_stepping(program, node, around, names) for node in calls)


def scheduler_names(program: Program) -> set[str]:
    """Return the names, and names of attributes, that hold a schedule, alone or among others."""
    names: set[str] = set()
    for value in (program.namespace, *reachable_objects(program.namespace, program.parts)):
        holder = value if isinstance(value, Mapping) else {}
        names |= {
            k for k, v in list(holder.items())
            if isinstance(k, str) and any(isinstance(x, KINDS) for x in _items(v))
        }  # fmt: skip
    return names


def _items(value: Any) -> Sequence[Any]:
    """Return what a short list or dictionary holds; the value itself where it is none."""
    value = list(value.values()) if isinstance(value, dict) else value
    return value if isinstance(value, list | tuple) and len(value) <= MAX_ITEMS else (value,)


def _goes_through(node: ast.AST, names: Set[str]) -> TypeGuard[ast.For | ast.comprehension]:
    """Return whether this is a loop over schedules."""
    return isinstance(node, ast.For | ast.comprehension) and any(
        _last_word(n) in names for n in ast.walk(node.iter)
    )


def _last_word(node: ast.AST) -> str:
    """Return a name, or the last word of an attribute; of an item, that of its holder."""
    if isinstance(node, ast.Subscript):
        return _last_word(node.value)
    return node.id if isinstance(node, ast.Name) else str(getattr(node, "attr", ""))


def _is_step(node: ast.AST, of_schedule: bool, names: Set[str]) -> bool:
    """Return whether `node` calls the step of a schedule, or the program's own step of training."""
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Attribute) and node.func.attr == "step":
        owner = ast.unparse(node.func.value)
        is_schedule = "sched" in owner.lower() or _last_word(node.func.value) in names
        return is_schedule is of_schedule
    return not of_schedule and ast.unparse(node.func).endswith(("step", "train_batch"))


def _stepping(
    program: Program, call: ast.AST, around: dict[ast.AST, ast.AST], names: Set[str]
) -> SchedulerStepCall:
    line = getattr(call, "lineno", 0)
    loop: ast.AST | None = call
    while loop is not None and (
        not isinstance(loop, ast.For | ast.While) or _goes_through(loop, names)
    ):
        loop = around.get(loop)
    if loop is None:
        return SchedulerStepCall(False, None, line)
    inner = [n for n in ast.walk(loop) if isinstance(n, ast.For | ast.While) and n is not loop]
    trains = any(_is_step(n, False, names) for each in inner for n in ast.walk(each))
    return SchedulerStepCall(trains, _times(program, loop, around), line)


def _times(program: Program, loop: ast.AST, around: dict[ast.AST, ast.AST]) -> int | None:
    """N of `for … in range(N)`: a number, a name of the module, or a default of the function."""
    if not isinstance(loop, ast.For) or not isinstance(loop.iter, ast.Call):
        return None
    if ast.unparse(loop.iter.func) != "range" or not loop.iter.args:
        return None
    last: ast.AST | None = loop.iter.args[min(1, len(loop.iter.args) - 1)]
    if isinstance(last, ast.Name):
        function = around.get(loop)
        while function is not None and not isinstance(function, ast.FunctionDef):
            function = around.get(function)
        defaults: dict[str, ast.AST] = {}
        if isinstance(function, ast.FunctionDef):
            default_nodes = function.args.defaults
            names = [a.arg for a in function.args.args][
                len(function.args.args) - len(default_nodes) :
            ]
            defaults = dict(zip(names, default_nodes, strict=True))
        value = program.namespace.get(last.id)
        if last.id not in defaults:
            return value if isinstance(value, int) else None
        last = defaults[last.id]
    default_value = last.value if isinstance(last, ast.Constant) else None
    return default_value if isinstance(default_value, int) else None


MAX_EPOCH = 5_000
"""Batches that are counted; a longer epoch counts as unknown."""


def batches_an_epoch(program: Program) -> int | None:
    """Return batches until they end; None if they do not within `MAX_EPOCH`, or cannot be
    counted."""
    batches = program.get("batches")
    if hasattr(batches, "__len__"):
        return len(batches)
    try:
        value = call_part(program, "batches") if callable(batches) else None
    except UndeterminedError:
        return None
    if value is None or is_batch(value) or not hasattr(value, "__iter__"):
        return None
    count = sum(1 for _ in islice(value, MAX_EPOCH))
    return count if count < MAX_EPOCH else None
