"""A program whose training loop stands in a function or a script: its loop as parts.

The program runs as it is until an optimizer is to be stepped for the first time. There it ends,
untrained. The body of the loop around that line becomes `step`, what the loop goes through
becomes `batches`, and the names that the loop can see are the program's names.
"""

from __future__ import annotations

import inspect
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from descend.program_check.frameworks import TrainingReachedError
from descend.program_check.instrumentation.call_recorder import ids_of
from descend.program_check.loop_source import LoopSource, loops_around
from descend.program_check.source_lines import is_own_file

MAX_BACKWARD_CALLS = 66
"""Calls of `backward` without a step of an optimizer after which none is waited for."""

STANDARD_LIBRARY = sysconfig.get_path("stdlib")


@dataclass(frozen=True)
class ScopeFrame:
    """A function of the program that was running, or its module: a snapshot."""

    frame: FrameType
    code: CodeType
    line: int
    names: Mapping[str, Any]
    """Its local names; those of the module where it is one."""
    module_names: dict[str, Any]

    @property
    def is_module(self) -> bool:
        """Whether it is a module and not a function."""
        return self.code.co_name == "<module>"


@dataclass
class LoopStart:
    """Where a program was about to make its first step."""

    loop: LoopSource | None = None
    scopes: tuple[ScopeFrame, ...] = ()
    """The scope of the loop, then its callers."""
    line: int = 0
    """Of the loop's scope: what was being carried out."""
    optimizer: Optimizer | None = None
    networks: list[nn.Module] = field(default_factory=list)
    """Outermost networks that were called, in order."""
    token_readers: list[nn.Module] = field(default_factory=list)
    """Those of them that were given token ids."""
    backward_calls: int = 0
    last_backward: tuple[ScopeFrame, ...] = ()
    running: set[CodeType] = field(default_factory=set)
    """Functions that were running then, those inside the loop too."""
    modes: dict[nn.Module, bool] = field(default_factory=dict)
    """Whether each module was in training mode at the last `backward`."""

    def close(self) -> None:
        """Take the loop around the last `backward` where no optimizer was stepped."""
        if self.loop is None and self.last_backward:
            self._set_loop(self.last_backward)

    def reads_no_tokens(self, network: nn.Module) -> bool:
        """Return whether a network was called, and never with token ids."""
        is_called = any(network is n for n in self.networks)
        return is_called and not any(network is n for n in self.token_readers)

    def is_whole_step(self, function: Any) -> bool:
        """Return whether a function that the loop calls makes the step of the optimizer and all
        else."""
        if self.loop is None:
            return True
        code = getattr(inspect.unwrap(function), "__code__", None)
        return code in self.running and not self.loop.trains_itself(code.co_name)

    def _set_loop(self, scopes: tuple[ScopeFrame, ...]) -> bool:
        for index, scope in enumerate(scopes):
            for loop in loops_around(scope.code.co_filename, scope.line):
                if self._holds_backward(scope, loop):
                    self.loop, self.scopes, self.line = loop, scopes[index:], scope.line
                    self.running = {s.code for s in scopes}
                    return True
        return False

    def _holds_backward(self, scope: ScopeFrame, loop: LoopSource) -> bool:
        """Return whether the last gradients were computed inside the same pass of a loop."""
        if not self.last_backward:
            return True
        return any(s.frame is scope.frame and loop.contains(s.line) for s in self.last_backward)


@contextmanager
def stopped_at_loop() -> Iterator[LoopStart]:
    """End whoever runs inside with `TrainingReachedError` where its loop is to make a step."""
    start = LoopStart()

    def on_step(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        if start._set_loop(running_scopes()):
            start.optimizer = optimizer
            raise TrainingReachedError

    inner = torch.autograd.backward

    def backward(*args: Any, **kwargs: Any) -> Any:
        start.backward_calls += 1
        start.last_backward = running_scopes()
        start.modes = {m: m.training for network in start.networks for m in network.modules()}
        if start.backward_calls > MAX_BACKWARD_CALLS and start._set_loop(start.last_backward):
            raise TrainingReachedError
        return inner(*args, **kwargs)

    depth = [0]

    def before(_module: nn.Module, _args: Any) -> None:
        depth[0] += 1

    def after(module: nn.Module, args: Any, kwargs: Any, _output: Any) -> None:
        depth[0] = max(0, depth[0] - 1)
        if depth[0]:
            return
        if not any(module is n for n in start.networks):
            start.networks.append(module)
        if ids_of(args, kwargs) is not None and not any(module is n for n in start.token_readers):
            start.token_readers.append(module)

    hooks = [
        register_optimizer_step_pre_hook(on_step),
        nn.modules.module.register_module_forward_pre_hook(before),
        nn.modules.module.register_module_forward_hook(after, with_kwargs=True, always_call=True),
    ]
    torch.autograd.backward = backward
    try:
        yield start
    finally:
        torch.autograd.backward = inner
        for hook in hooks:
            hook.remove()


def running_scopes() -> tuple[ScopeFrame, ...]:
    """Return the program's own functions that are running, innermost first."""
    scopes: list[ScopeFrame] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if is_own_file(file) and not file.startswith(("<", STANDARD_LIBRARY)):
            names = frame.f_globals if frame.f_code.co_name == "<module>" else dict(frame.f_locals)
            scopes.append(ScopeFrame(frame, frame.f_code, frame.f_lineno, names, frame.f_globals))
        frame = frame.f_back
    return tuple(scopes)


def clear_gradients(start: LoopStart, names: Mapping[str, Any]) -> None:
    """Undo what the first pass of the loop left: gradients, and the state of a scaler."""
    groups = start.optimizer.param_groups if start.optimizer is not None else []
    parameters = [p for g in groups for p in g["params"]]
    parameters += [p for n in start.networks for p in n.parameters()]
    for parameter in parameters:
        parameter.grad = None
    for value in names.values():
        if type(value).__name__.endswith("GradScaler"):
            with suppress(AttributeError):
                value._per_optimizer_states.clear()
