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

from descend.program_check.instrumentation.amp_usage import AmpUsage, watch_amp
from descend.program_check.instrumentation.call_recorder import (
    CallRecorder,
    ModelCall,
    PlainCall,
    loss_of,
    record_calls,
)
from descend.program_check.instrumentation.gradient_clears import watch_gradient_clears
from descend.program_check.instrumentation.gradient_tracker import GradientTracker
from descend.program_check.instrumentation.token_ids import tokens_of
from descend.program_check.probes.call_program import call_part
from descend.program_check.probes.data_source import read_first_batches
from descend.program_check.probes.side_weights import side_weights
from descend.program_check.program import Program
from descend.program_check.results import UndeterminedError

MIN_CALLS, MAX_CALLS = 6, 48
"""Calls of `step`; as many as `FLOPS` pay for."""

FLOPS = 4e9
"""Floating-point operations that a dry run may take: about a second on one core."""


@dataclass
class OptimizerStepRecord:
    """One step of an optimizer."""

    call: int
    optimizer: Optimizer
    rates: tuple[float, ...]
    model_calls: list[ModelCall]
    """The calls of the network since its last step that gradients came back to."""
    cleared: bool
    """Whether gradients had arrived and all of them were gone or zero."""
    has_gradients: bool
    """Whether any weight held a gradient, be it zero."""
    stale_gradient_fraction: float | None
    """Fraction of the gradients of the step before that are still in it; None: cannot be
    determined."""
    new: float | None
    """By how much the new gradients were scaled (clipping, unscaling); None: cannot be
    determined."""
    schedules: tuple[int, ...]
    num_backward: int = 0
    """Backward passes since its last step: of parts of a batch, each has its own."""
    plain_calls: int = 0
    """Calls of the network without token ids since its last step that gradients came back to."""
    discarded_parts: int = 0
    """Of the gradients that arrived since its last step, those cleared before the last one."""


@dataclass
class DryRun:
    """What happened."""

    calls: int
    model_calls: list[list[ModelCall]]
    """By call."""
    losses: list[float]
    updates: list[OptimizerStepRecord]
    schedulers: tuple[LRScheduler, ...]
    schedules: list[tuple[int, ...]]
    """How often each schedule had been stepped: before the first call, then after each."""
    changed_weights: set[str]
    """Names of the weights that are not what they were; of side weights too."""
    weights_with_gradient: set[str]
    """Names of the weights that a gradient came to, be it zero; of side weights too."""
    precision: AmpUsage
    problem: str = ""
    """What ended it early."""
    batches: list[Any] = field(default_factory=list)
    plain_calls: list[PlainCall] = field(default_factory=list)
    """Calls of the network without token ids."""
    clear_lines: list[int] = field(default_factory=list)
    """Lines of the program that cleared gradients, in order."""
    backward_calls: int = 0

    @property
    def has_no_tokens(self) -> bool:
        """Whether the network was called, and neither it nor a batch has token ids."""
        is_called = bool(self.plain_calls) and not any(self.model_calls)
        return is_called and all(tokens_of(batch) is None for batch in self.batches)

    def learned_modes(self) -> list[bool]:
        """Return whether the network was in training mode, for all calls that a gradient came back
        to."""
        plain_modes = [call.training for call in self.plain_calls if call.learned_from]
        return [call.training for call in self.learned()] + plain_modes

    def learned(self) -> list[ModelCall]:
        """Return all calls of the network that a gradient came back to."""
        return [s for calls in self.model_calls for s in calls if s.learned_from]


def schedulers_of(program: Program) -> tuple[LRScheduler, ...]:
    """Return the schedules of the program that count steps, without those inside another."""
    schedulers = program.all_of(LRScheduler)
    inner = {id(s) for one in schedulers for s in getattr(one, "_schedulers", ())}
    return tuple(s for s in schedulers if id(s) not in inner and hasattr(s, "_last_lr")
                 and type(s).__name__ != "ReduceLROnPlateau")  # fmt: skip


def dry_run(program: Program) -> DryRun:
    """Call `step` on the first batches and note what happens."""
    return run_steps(program, None)


def where_gradients_are_cleared(program: Program, result: DryRun) -> str:
    """Return the line of the program that clears gradients first; where `step` stands, if none
    does."""
    if result.clear_lines:
        return program.where_is_line(result.clear_lines[0])
    return program.source_location("step")


def run_steps(program: Program, calls: int | None) -> DryRun:
    """Return `calls` calls of `step`, as many as are cheap without; `UndeterminedError` when the
    first fails."""
    program.get("step")
    batches = (
        list(program.run_probe_once(read_first_batches).batches) if program.has("batches") else []
    )
    if calls is None:
        calls = num_affordable_calls(program, batches)
    schedulers = schedulers_of(program)
    named = dict(program.model.named_parameters())
    beside = side_weights(program)
    before = {n: p.detach().clone() for n, p in [*beside.items(), *named.items()]}
    tracker = GradientTracker(named.items(), {n: p for n, p in beside.items() if n not in named})
    result = DryRun(0, [], [], [], schedulers, [_positions(schedulers)], set(), tracker.arrived,
                      AmpUsage(), batches=batches)  # fmt: skip
    with record_calls(program.model) as opened, watch_amp() as result.precision:
        with (
            watch_gradient_clears(program.file) as result.clear_lines,
            _updates_noted(result, tracker, opened, schedulers),
        ):
            for number in range(calls):
                _one_call(program, result, opened, batches, number)
                if result.problem:
                    break
    tracker.close()
    result.plain_calls = opened.plain_calls
    if not result.calls:
        raise UndeterminedError(result.problem)
    result.changed_weights = {
        n for n, p in [*beside.items(), *program.model.named_parameters()]
        if n in before and not (p.shape == before[n].shape and torch.equal(p, before[n]))
    }  # fmt: skip
    return result


def _one_call(
    program: Program, result: DryRun, opened: CallRecorder, batches: list[Any], number: int
) -> None:
    start = len(opened.model_calls)
    things = (batches[number % len(batches)],) if batches else ()
    try:
        returned = call_part(program, "step", *things)
    except UndeterminedError as reason:
        result.problem = str(reason)
        return
    loss = loss_of(returned)
    if loss is not None:
        result.losses.append(float(loss))
    result.calls += 1
    result.model_calls.append(opened.model_calls[start:])
    result.schedules.append(_positions(result.schedulers))


@contextmanager
def _updates_noted(
    result: DryRun,
    tracker: GradientTracker,
    opened: CallRecorder,
    schedulers: tuple[LRScheduler, ...],
) -> Iterator[None]:
    since, plain_since = dict[int, int](), dict[int, int]()
    backward_calls, first_pass = [0], dict[int, int]()

    def before(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        weights = [p for g in optimizer.param_groups for p in g["params"]]
        old, new = tracker.split(weights)
        expected = any(id(w) in tracker.any_since for w in weights)
        has_gradient = any(w.grad is not None and bool(w.grad.any()) for w in weights)
        rates = tuple(float(g.get("lr", math.nan)) for g in optimizer.param_groups)
        result.updates.append(OptimizerStepRecord(
            result.calls, optimizer, rates,
            [s for s in opened.model_calls[since.get(id(optimizer), 0):] if s.learned_from],
            expected and not has_gradient, any(w.grad is not None for w in weights), old, new,
            _positions(schedulers),
            backward_calls[0] - first_pass.get(id(optimizer), 0),
            sum(c.learned_from for c in opened.plain_calls[plain_since.get(id(optimizer), 0):]),
            tracker.discarded_parts(weights),
        ))  # fmt: skip

    def after(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        tracker.after_update([p for g in optimizer.param_groups for p in g["params"]])
        since[id(optimizer)] = len(opened.model_calls)
        plain_since[id(optimizer)] = len(opened.plain_calls)
        first_pass[id(optimizer)] = backward_calls[0]

    inner = torch.autograd.backward

    def backward(*args: Any, **kwargs: Any) -> Any:
        backward_calls[0] += 1
        result.backward_calls += 1
        return inner(*args, **kwargs)

    torch.autograd.backward = backward
    hooks = [register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)]
    try:
        yield
    finally:
        torch.autograd.backward = inner
        for hook in hooks:
            hook.remove()


def _positions(schedulers: tuple[LRScheduler, ...]) -> tuple[int, ...]:
    return tuple(int(s.last_epoch) for s in schedulers)


def num_affordable_calls(
    program: Program, batches: list[Any], flops: float = FLOPS, max_calls: int = MAX_CALLS
) -> int:
    """Return how many calls `flops` pay for, at 6 operations a weight and token, at most
    `max_calls`.

    Operations are counted instead of seconds: a busy machine must not change what is found.
    """
    weights = sum(p.numel() for p in program.model.parameters())
    ids = tokens_of(batches[0]) if batches else None
    tokens = ids.numel() if ids is not None else 1024
    return int(min(max_calls, max(MIN_CALLS, flops / (6 * weights * tokens))))
