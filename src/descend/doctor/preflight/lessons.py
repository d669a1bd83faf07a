"""What the program's loss asks of the network: seen at the logits, by `loss` or by `step`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from descend.doctor.preflight.calls import call
from descend.doctor.preflight.doubt import CannotTell
from descend.doctor.preflight.program import Program, describe
from descend.doctor.preflight.rehearsal import rehearse
from descend.doctor.preflight.supply import supply
from descend.doctor.preflight.tap import Seen, loss_of, tap

FEW = 4
"""Batches that `loss` is tried on."""


@dataclass(frozen=True)
class Lesson:
    """Calls of the network that a gradient came back to, and the loss that was stated."""

    part: str
    """`loss`, `step` or `model`: where the loss is computed."""
    seen: tuple[Seen, ...]
    loss: float | None
    """As returned for the first of them."""


def lessons(program: Program) -> tuple[Lesson, ...]:
    """One lesson for each part of the program that computes a loss; `CannotTell` without any."""
    found: list[Lesson] = []
    reasons: list[str] = []
    for of in (of_loss, of_step, of_model):
        if found and of is of_model:
            break
        try:
            found.append(program.once(of))
        except CannotTell as reason:
            reasons.append(str(reason))
    if not found:
        raise CannotTell("; ".join(dict.fromkeys(reasons)))
    return tuple(found)


def of_loss(program: Program) -> Lesson:
    """`loss(model, batch)` on the first batches."""
    program.part("loss")
    return _try(program, "loss", lambda batch: call(program, "loss", batch))


def of_model(program: Program) -> Lesson:
    """A network that computes its loss itself: `model(**batch)` or `model(x, y)`."""

    def forward(batch: Any) -> Any:
        model = program.model
        if isinstance(batch, Mapping):
            return model(**batch)
        return model(*batch) if isinstance(batch, tuple | list) else model(batch)

    return _try(program, "model", forward)


def _try(program: Program, part: str, forward: Any) -> Lesson:
    batches = program.once(supply).batches[:FEW]
    program.model.train()
    seen: list[Seen] = []
    first: float | None = None
    for batch in batches:
        with tap(program.model) as opened, torch.enable_grad():
            try:
                loss = loss_of(forward(batch))
            except CannotTell:
                raise
            except Exception as problem:
                raise CannotTell(f"`{part}` raised {describe(problem)}") from problem
            if not isinstance(loss, torch.Tensor) or not loss.requires_grad:
                raise CannotTell(f"`{part}` gives no loss that gradients follow from")
            loss.backward()  # type: ignore[no-untyped-call]
        program.model.zero_grad()
        first = float(loss) if first is None else first
        seen.extend(s for s in opened.seen if s.learned_from)
    if not seen:
        raise CannotTell(f"no gradient came from `{part}` to the outputs of `model`")
    return Lesson(part, tuple(seen), first)


def of_step(program: Program) -> Lesson:
    """`step(batch)`, as rehearsed."""
    rehearsal = program.once(rehearse)
    seen = rehearsal.learned()
    if not seen:
        raise CannotTell("no gradient came from `step` to the outputs of `model`")
    return Lesson("step", tuple(seen), rehearsal.losses[0] if rehearsal.losses else None)


def first_seen(program: Program) -> Seen:
    """A call of the network as the program makes it, learned from or not."""
    for of in (of_loss, of_step, of_model):
        try:
            return program.once(of).seen[0]
        except CannotTell:
            continue
    for calls in program.once(rehearse).seen:
        if calls:
            return calls[0]
    raise CannotTell("the network is not called by the program")
