"""The steps that a program makes while it is imported: a loop that stands in no function.

They are made once and cannot be made again, so little is noted of them, and of the first few alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from descend.program_check.instrumentation.gradient_tracker import GradientTracker
from descend.program_check.source_lines import running_line

MAX_NOTED = 24
"""Steps of an optimizer that are watched; a script may make a million."""


@dataclass
class ImportTimeTraining:
    """What was seen of them."""

    steps: int = 0
    stale_gradient_fractions: list[float] = field(default_factory=list)
    """Of each that could be determined: the fraction of the gradients of the step before still in
    it."""
    line: int | None = None
    """Of the program's file: where an optimizer was stepped first."""


@contextmanager
def watch_optimizer_steps(file: Path | None) -> Iterator[ImportTimeTraining]:
    """Watch every torch optimizer; `file` is the program's, None if that is not known."""
    training, ledgers = (
        ImportTimeTraining(),
        dict[int, tuple[GradientTracker, list[Tensor], list[None]]](),
    )

    def before(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        training.steps += 1
        if training.line is None and file is not None:
            training.line = running_line(file)
        if id(optimizer) in ledgers:
            tracker, weights, noted = ledgers[id(optimizer)]
            if len(noted) < MAX_NOTED:
                with suppress(RuntimeError):  # sparse gradients; the program is to go on
                    old, _ = tracker.split(weights)
                    training.stale_gradient_fractions.extend([] if old is None else [old])

    def after(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        if id(optimizer) not in ledgers:
            weights = [p for g in optimizer.param_groups for p in g["params"]]
            named = [(str(n), p) for n, p in enumerate(weights)]
            ledgers[id(optimizer)] = (GradientTracker(named), weights, [])
        tracker, weights, noted = ledgers[id(optimizer)]
        noted.append(None)
        if len(noted) < MAX_NOTED:
            tracker.after_update(weights)
        else:
            tracker.close()

    hooks = [register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)]
    try:
        yield training
    finally:
        for hook in hooks:
            hook.remove()
        for tracker, *_ in ledgers.values():
            tracker.close()
