"""What the program's loss asks of the network: seen at the logits, by `loss` or by `step`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader

from descend.program_check.instrumentation.call_recorder import ModelCall, loss_of, record_calls
from descend.program_check.probes.call_program import call_part
from descend.program_check.probes.data_source import read_first_batches
from descend.program_check.probes.dry_run import dry_run
from descend.program_check.program import Program
from descend.program_check.program_failures import format_exception
from descend.program_check.results import UndeterminedError
from descend.program_check.source_lines import loss_lines, mention_line

NUM_BATCHES = 4
"""Batches that `loss` is tried on."""


@dataclass(frozen=True)
class LossProbe:
    """Calls of the network that a gradient came back to, and the loss that was stated."""

    part: str
    """`loss`, `step` or `model`: where the loss is computed."""
    model_calls: tuple[ModelCall, ...]
    loss: float | None
    """As returned for the first of them."""


def probe_losses(program: Program) -> tuple[LossProbe, ...]:
    """Return one probe for each part of the program that computes a loss; `UndeterminedError`
    without any."""
    probes: list[LossProbe] = []
    reasons: list[str] = []
    for of in (probe_loss_function, probe_training_step, probe_model_loss):
        if probes and of is probe_model_loss:
            break
        try:
            probes.append(program.run_probe_once(of))
        except UndeterminedError as reason:
            reasons.append(str(reason))
    if not probes:
        raise UndeterminedError("; ".join(dict.fromkeys(reasons)))
    return tuple(probes)


def probe_loss_function(program: Program) -> LossProbe:
    """Return `loss(model, batch)` on the first batches."""
    program.get("loss")
    return _try(program, "loss", lambda batch: call_part(program, "loss", batch))


def where_is_loss(program: Program, part: str) -> str:
    """Return the line of the program that computes its loss, or that makes the labels where a
    framework computes it; where `part` stands, if neither can be seen."""
    line = program.run_probe_once(_loss_line) if part == "step" else None
    line = line or _labels_line(program)
    return program.where_is_line(line) if line else program.source_location(part)


def _labels_line(program: Program) -> int | None:
    """Return the line of the data that makes the labels, of a program that a framework trains."""
    loader = program.parts.get("batches")
    if not isinstance(loader, DataLoader) or "trainer" not in program.parts:
        return None
    makers = (loader.collate_fn, getattr(type(loader.dataset), "__getitem__", None))
    return next((n for m in makers if m and (n := mention_line(m, "labels"))), None)


def _loss_line(program: Program) -> int | None:
    """Return the one line of the program's file that computes a loss in a step."""
    batches = (
        program.run_probe_once(read_first_batches).batches[:1] if program.has("batches") else ()
    )
    lines = loss_lines(program.file, lambda: call_part(program, "step", *batches))
    return lines[0] if len(lines) == 1 else None


def probe_model_loss(program: Program) -> LossProbe:
    """Return a network that computes its loss itself: `model(**batch)` or `model(x, y)`."""

    def forward(batch: Any) -> Any:
        model = program.model
        if isinstance(batch, Mapping):
            return model(**batch)
        return model(*batch) if isinstance(batch, tuple | list) else model(batch)

    return _try(program, "model", forward)


def _try(program: Program, part: str, forward: Any) -> LossProbe:
    batches = program.run_probe_once(read_first_batches).batches[:NUM_BATCHES]
    program.model.train()
    model_calls: list[ModelCall] = []
    first: float | None = None
    for batch in batches:
        with record_calls(program.model) as opened, torch.enable_grad():
            try:
                loss = loss_of(forward(batch))
            except UndeterminedError:
                raise
            except Exception as problem:
                raise UndeterminedError(f"`{part}` raised {format_exception(problem)}") from problem
            if not isinstance(loss, torch.Tensor) or not loss.requires_grad:
                raise UndeterminedError(f"`{part}` gives no loss that gradients follow from")
            loss.backward()  # type: ignore[no-untyped-call]
        program.model.zero_grad()
        first = float(loss) if first is None else first
        model_calls.extend(s for s in opened.model_calls if s.learned_from)
    if not model_calls:
        raise UndeterminedError(f"no gradient came from `{part}` to the outputs of `model`")
    return LossProbe(part, tuple(model_calls), first)


def probe_training_step(program: Program) -> LossProbe:
    """Return `step(batch)`, as in the dry run."""
    dry_run_result = program.run_probe_once(dry_run)
    model_calls = dry_run_result.learned()
    if not model_calls:
        raise UndeterminedError("no gradient came from `step` to the outputs of `model`")
    return LossProbe(
        "step", tuple(model_calls), dry_run_result.losses[0] if dry_run_result.losses else None
    )


def first_model_call(program: Program) -> ModelCall:
    """Return a call of the network as the program makes it, learned from or not."""
    for of in (probe_loss_function, probe_training_step, probe_model_loss):
        try:
            return program.run_probe_once(of).model_calls[0]
        except UndeterminedError:
            continue
    for calls in program.run_probe_once(dry_run).model_calls:
        if calls:
            return calls[0]
    raise UndeterminedError("the program gives the network no token ids")
