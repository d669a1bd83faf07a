"""Optimizers that never step, though gradients come to the weights that they hold."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.optim import Optimizer

from descend.program_check.instrumentation.lines_run import watch_lines
from descend.program_check.optimizer_uses import UseSearch, names_of
from descend.program_check.probes.dry_run import DryRun, dry_run, run_steps
from descend.program_check.probes.side_weights import side_weights
from descend.program_check.program import Program
from descend.program_check.results import (
    BugAbsent,
    CheckResult,
    Undetermined,
    UndeterminedError,
)
from descend.program_check.source_lines import own_sources

LONG = 80
"""Calls after which even a long accumulation has stepped."""

ENOUGH = 65
"""Calls without a step that count as never: accumulations over more than 64 calls are rare."""


@dataclass(frozen=True)
class IdleOptimizer:
    """An optimizer that did not step beside others that did."""

    optimizer: Optimizer
    name: str
    weights: tuple[str, ...]
    """Of those it holds: a gradient came to them, and they did not move."""
    calls: int
    """Of `step`."""
    updates: int
    """Steps of the other optimizers."""
    open_line: int | None
    """A line of the program that may step it; None where there is none."""

    @property
    def is_certain(self) -> bool:
        """Whether it never steps."""
        return self.calls >= ENOUGH and self.open_line is None

    @property
    def reason(self) -> str:
        """Why what concerns it is undetermined."""
        if self.is_certain:
            return f"`{self.name}` never steps (see step_never_called)"
        line = f"; line {self.open_line} may step it" if self.open_line else ""
        return f"`{self.name}` did not step in {self.calls} calls of `step`{line}"


def idle_optimizers(program: Program) -> list[IdleOptimizer]:
    """Return the optimizers that did not step, in a dry run that is long where there are any."""
    if not _idle_weights(program, program.run_probe_once(dry_run)):
        return []
    trees = own_sources(program.file)
    with watch_lines(trees) as lines:
        result = run_steps(program, LONG)
    idle = []
    for number, optimizer, weights in _idle_weights(program, result):
        names = names_of(optimizer, program.namespace, trees)
        name = names.own[0] if names.own else f"optimizer {number}"
        line = UseSearch(trees, names, lines, program.scopes).first_line()
        idle.append(
            IdleOptimizer(optimizer, name, weights, result.calls, len(result.updates), line)
        )
    return idle


def why_not_stepped(program: Program, optimizer: Optimizer) -> str:
    """Return why it is not known whether an optimizer that did not step ever does; "" where nothing
    of the program can step it."""
    idle = program.run_probe_once(idle_optimizers)
    reasons = [i.reason for i in idle if i.optimizer is optimizer]
    if reasons:
        return reasons[0]
    trees = own_sources(program.file)
    names = names_of(optimizer, program.namespace, trees)
    line = UseSearch(trees, names, set(), program.scopes).first_line()
    return f"an optimizer did not step; line {line} may step it" if line and names.own else ""


def _idle_weights(
    program: Program, result: DryRun
) -> list[tuple[int, Optimizer, tuple[str, ...]]]:  # fmt: skip
    """Return the idle optimizers: number, and weights by name."""
    if not result.updates:
        return []
    stepped = {id(p) for u in result.updates for p in _weights_of(u.optimizer)}
    weights: dict[str, Tensor] = {**side_weights(program), **dict(program.model.named_parameters())}
    idle = []
    for number, optimizer in enumerate(program.optimizers, 1):
        own = {id(p) for p in _weights_of(optimizer)}
        names = [n for n, p in weights.items() if id(p) in own]
        reached = tuple(n for n in names if n in result.weights_with_gradient)
        if reached and not own & stepped and not result.changed_weights.intersection(names):
            idle.append((number, optimizer, reached))
    return idle


def _weights_of(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def unless_idle(program: Program, result: BugAbsent) -> CheckResult:
    """Return `result`, or where an optimizer did not step, that this is undetermined."""
    try:
        idle = program.run_probe_once(idle_optimizers)
    except UndeterminedError:  # without steps there are no idle ones
        return result
    return Undetermined(idle[0].reason) if idle else result
