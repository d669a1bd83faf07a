"""A few real steps of the program, watched from outside: what each call did, in numbers.

Watched are the network's calls (`tap`), the gradients as they arrive, every optimizer in use
(torch's global hooks), schedules, modes and weights. The program is put back afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from descend.doctor.preflight.calls import call
from descend.doctor.preflight.doubt import CannotTell
from descend.doctor.preflight.ledger import Ledger
from descend.doctor.preflight.precision import Precision, watched_precision
from descend.doctor.preflight.program import Program
from descend.doctor.preflight.supply import supply, tokens_of
from descend.doctor.preflight.tap import Seen, Tap, loss_of, tap

FEWEST_CALLS, MOST_CALLS = 6, 48
"""Calls of `step`; as many as `FLOPS` pay for."""

FLOPS = 4e9
"""Floating-point operations that a rehearsal may take: about a second on one core."""


@dataclass
class Update:
    """One step of an optimizer."""

    call: int
    optimizer: Optimizer
    rates: tuple[float, ...]
    seen: list[Seen]
    """The calls of the network since its last step that gradients came back to."""
    cleared: bool
    """Whether gradients had arrived and all of them were gone or zero."""
    old: float | None
    """Share of the gradients of the step before that are still in it; None: cannot be told."""
    new: float | None
    """By how much the new gradients were scaled (clipping, unscaling); None: cannot be told."""
    schedules: tuple[int, ...]


@dataclass
class Rehearsal:
    """What happened."""

    calls: int
    seen: list[list[Seen]]
    """By call."""
    losses: list[float]
    updates: list[Update]
    schedulers: tuple[LRScheduler, ...]
    schedules: list[tuple[int, ...]]
    """How often each schedule had been stepped: before the first call, then after each."""
    moved: set[str]
    """Names of the weights that are not what they were."""
    arrived: set[str]
    """Names of the weights that a gradient came to, be it zero."""
    precision: Precision
    problem: str = ""
    """What ended it early."""
    batches: list[Any] = field(default_factory=list)

    def learned(self) -> list[Seen]:
        """All calls of the network that a gradient came back to."""
        return [s for calls in self.seen for s in calls if s.learned_from]


def schedulers_of(program: Program) -> tuple[LRScheduler, ...]:
    """The schedules of the program that count steps, without those inside another."""
    found = program.all_of(LRScheduler)
    inner = {id(s) for one in found for s in getattr(one, "_schedulers", ())}
    return tuple(s for s in found if id(s) not in inner and hasattr(s, "_last_lr")
                 and type(s).__name__ != "ReduceLROnPlateau")  # fmt: skip


def rehearse(program: Program) -> Rehearsal:
    """Call `step` on the first batches and note what happens."""
    return run_steps(program, None)


def run_steps(program: Program, calls: int | None) -> Rehearsal:
    """`calls` calls of `step`, as many as are cheap without; `CannotTell` when the first fails."""
    program.part("step")
    batches = list(program.once(supply).batches) if program.has("batches") else []
    if calls is None:
        calls = affordable(program, batches)
    schedulers = schedulers_of(program)
    before = {n: p.detach().clone() for n, p in program.model.named_parameters()}
    ledger = Ledger(program.model.named_parameters())
    found = Rehearsal(0, [], [], [], schedulers, [_positions(schedulers)], set(), ledger.arrived,
                      Precision(), batches=batches)  # fmt: skip
    with tap(program.model) as opened, watched_precision() as found.precision:
        with _updates_noted(found, ledger, opened, schedulers):
            for number in range(calls):
                _one_call(program, found, opened, batches, number)
                if found.problem:
                    break
    ledger.close()
    if not found.calls:
        raise CannotTell(found.problem)
    found.moved = {
        n for n, p in program.model.named_parameters()
        if n in before and not (p.shape == before[n].shape and torch.equal(p, before[n]))
    }  # fmt: skip
    return found


def _one_call(
    program: Program, found: Rehearsal, opened: Tap, batches: list[Any], number: int
) -> None:
    start = len(opened.seen)
    things = (batches[number % len(batches)],) if batches else ()
    try:
        returned = call(program, "step", *things)
    except CannotTell as reason:
        found.problem = str(reason)
        return
    loss = loss_of(returned)
    if loss is not None:
        found.losses.append(float(loss))
    found.calls += 1
    found.seen.append(opened.seen[start:])
    found.schedules.append(_positions(found.schedulers))


@contextmanager
def _updates_noted(
    found: Rehearsal, ledger: Ledger, opened: Tap, schedulers: tuple[LRScheduler, ...]
) -> Iterator[None]:
    since: dict[int, int] = {}

    def before(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        weights = [p for g in optimizer.param_groups for p in g["params"]]
        old, new = ledger.split(weights)
        expected = any(id(w) in ledger.any_since for w in weights)
        held = any(w.grad is not None and bool(w.grad.any()) for w in weights)
        rates = tuple(float(g.get("lr", math.nan)) for g in optimizer.param_groups)
        found.updates.append(Update(
            found.calls, optimizer, rates,
            [s for s in opened.seen[since.get(id(optimizer), 0):] if s.learned_from],
            expected and not held, old, new, _positions(schedulers),
        ))  # fmt: skip

    def after(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        ledger.after_update([p for g in optimizer.param_groups for p in g["params"]])
        since[id(optimizer)] = len(opened.seen)

    hooks = [register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _positions(schedulers: tuple[LRScheduler, ...]) -> tuple[int, ...]:
    return tuple(int(s.last_epoch) for s in schedulers)


def affordable(program: Program, batches: list[Any]) -> int:
    """How many calls `FLOPS` pay for, at 6 operations a weight and token."""
    weights = sum(p.numel() for p in program.model.parameters())
    ids = tokens_of(batches[0]) if batches else None
    tokens = ids.numel() if ids is not None else 1024
    return int(min(MOST_CALLS, max(FEWEST_CALLS, FLOPS / (6 * weights * tokens))))
