"""What the losses of torch are given in the first steps, as the program calls them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from descend.program_check.probes.call_program import call_part
from descend.program_check.probes.data_source import read_first_batches
from descend.program_check.program import Program
from descend.program_check.results import UndeterminedError
from descend.program_check.source_lines import running_line

NUM_STEPS = 3
DIFFERENCES = {F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss}
"""Losses of a difference, whose two sides are broadcast to one shape."""


@dataclass(frozen=True)
class LossCall:
    """A call of a loss: its name, what it compares, and the line of the program."""

    name: str
    outputs: Tensor
    targets: Tensor
    line: int | None


class _Recorder(TorchFunctionMode):
    """Notes calls of losses while a step runs."""

    def __init__(self, file: Path | None) -> None:
        super().__init__()
        self.file = file
        self.calls: list[LossCall] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in DIFFERENCES or func is F.cross_entropy:
            outputs = args[0] if args else kwargs.get("input")
            targets = args[1] if len(args) > 1 else kwargs.get("target")
            if isinstance(outputs, Tensor) and isinstance(targets, Tensor):
                line = running_line(self.file) if self.file else None
                self.calls.append(
                    LossCall(func.__name__, outputs.detach().clone(), targets.detach(), line)
                )
        return func(*args, **kwargs)


def record_loss_calls(program: Program) -> list[LossCall]:
    """Return the losses of torch that the first steps call; `UndeterminedError` if there are
    none."""
    batches = program.run_probe_once(read_first_batches).batches if program.has("batches") else ()
    recorder = _Recorder(Path(program.file).resolve() if program.file else None)
    for number in range(NUM_STEPS):
        with recorder:
            call_part(program, "step", *batches[number % len(batches) :][:1] if batches else ())
    if not recorder.calls:
        raise UndeterminedError("no step calls a cross-entropy or a loss of differences of torch")
    return recorder.calls
