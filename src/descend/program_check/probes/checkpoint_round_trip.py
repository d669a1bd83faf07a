"""A checkpoint written and taken up by the program's own functions, in a folder of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from descend.program_check.instrumentation.checkpoint_loads import (
    optimizer_states,
    watch_checkpoint_loads,
)
from descend.program_check.instrumentation.state_guard import preserve_state
from descend.program_check.probes.call_program import call_part
from descend.program_check.probes.data_source import read_first_batches
from descend.program_check.probes.dry_run import schedulers_of
from descend.program_check.program import Program, seed_all
from descend.program_check.results import UndeterminedError

STEPS = 4
"""Taken before the save: enough for an optimizer to have something to remember."""


@dataclass(frozen=True)
class RoundTrip:
    """What came back."""

    weights_restored: bool
    moments: int
    """Numbers that the optimizers remembered when the program saved."""
    num_moments_restored: int
    schedules: tuple[int, ...]
    schedules_back: tuple[int, ...]
    part: str
    meant: bool
    """Whether training is meant to go on from it: it is a resume, or holds an optimizer's state."""


def round_trip(program: Program) -> RoundTrip:
    """Train a little, save, go back to the start, load: what is as it was when saved?"""
    part = "resume" if program.has("resume") else "load"
    program.get(part)
    program.get("save")
    with _folder_of_its_own() as folder:
        path = folder / "checkpoint.pt"
        with preserve_state(program.namespace, program.parts):
            seed_all()
            for batch in program.run_probe_once(read_first_batches).batches[:STEPS]:
                call_part(program, "step", batch)
            returned = call_part(program, "save", str(path))
            weights = _weights(program)
            moments = _moments(program)
            schedules = tuple(s.last_epoch for s in schedulers_of(program))
        if not path.exists() and not isinstance(returned, dict):
            raise UndeterminedError("`save(path)` wrote nothing to its path")
        with watch_checkpoint_loads() as loads:
            given = call_part(program, part, str(path) if path.exists() else returned)
        if given is not None and not loads.networks:
            raise UndeterminedError(f"`{part}` returns what it reads, and puts it nowhere itself")
        read = [*loads.files, returned]
        back = _weights(program)
        same = all(torch.equal(weights[n], back[n]) for n in weights if n in back)
        now = _moments(program)
        return RoundTrip(
            same, len(moments), sum(any(torch.equal(m, b) for b in now) for m in moments),
            schedules, tuple(s.last_epoch for s in schedulers_of(program)), part,
            meant=part == "resume" or any(True for value in read for _ in optimizer_states(value)),
        )  # fmt: skip


@contextmanager
def _folder_of_its_own() -> Iterator[Path]:
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(here)


def _weights(program: Program) -> dict[str, Tensor]:
    return {n: p.detach().clone() for n, p in program.model.named_parameters()}


def _moments(program: Program) -> list[Tensor]:
    """Return one number for each tensor that an optimizer remembers: its sum."""
    states: list[Any] = [s for o in program.optimizers for s in o.state.values()]
    return [v.detach().double().sum() for s in states for v in s.values() if isinstance(v, Tensor)]
