"""How far the targets stand from the tokens that they are predicted from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from descend.program_check.probes.loss_probe import LossProbe, probe_losses
from descend.program_check.probes.token_influence import measure_future_influence
from descend.program_check.probes.train_eval_mode import draws_noise_in_training
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, Undetermined, UndeterminedError

OFFSETS = (-1, 0, 1, 2, 3)
MAX_CALLS = 8
MIN_TARGETS = 16
"""Targets below which a match says nothing."""

AGREE = 0.98
"""Fraction of targets that must be the token at an offset: all, but for what a program masks."""
DISAGREE = 0.9
"""Share up to which they are not the next token: in repetitive text many tokens equal their
neighbour, so less than all is requested."""


@dataclass(frozen=True)
class TargetShift:
    """Fraction of the targets that are the token so many positions on."""

    part: str
    agreement: dict[int, float]
    targets: int

    def only_at(self, *offsets: int) -> int | None:
        """Return the offset among `offsets` at which the targets are, if they are not the next
        token."""
        best = max(offsets, key=lambda o: self.agreement[o])
        wrong = self.agreement[best] >= AGREE and self.agreement[1] <= DISAGREE
        return best if wrong else None


def target_shifts(program: Program) -> tuple[TargetShift, ...]:
    """Return one for each part of the program that computes a loss."""
    shifts = [s for s in map(target_shift, probe_losses(program)) if s is not None]
    if not shifts:
        raise UndeterminedError("the targets cannot be laid beside the tokens")
    return tuple(shifts)


def describe_unshifted(shifts: tuple[TargetShift, ...]) -> BugAbsent | Undetermined:
    """Return that the targets are the next token, or no token at a fixed distance."""
    if all(max(s.agreement.values()) < AGREE for s in shifts):
        agreement = max(s.agreement[1] for s in shifts)
        return Undetermined(
            f"only {agreement:.0%} of the targets are the next token of the input, so this may be "
            "no next-token prediction"
        )
    return BugAbsent(f"{shifts[0].agreement[1]:.0%} of the targets are the next token")


def has_another_task(program: Program) -> bool:
    """Return whether the loss asks for something else than the next token: hidden or corrupted
    tokens.

    A network for such a task is meant to see both sides. False where that cannot be determined.
    """
    if restores_noised_tokens(program) or restores_input(program):
        return True
    try:
        shifts = target_shifts(program)
    except UndeterminedError:
        return _is_masked_language_model(program)
    return all(max(s.agreement.values()) < AGREE for s in shifts)


def restores_noised_tokens(program: Program) -> bool:
    """Return whether the network adds noise to what it restores: of a diffusion, of an autoencoder.

    False where that cannot be determined.
    """
    try:
        return program.run_probe_once(draws_noise_in_training)
    except UndeterminedError:
        return False


def restores_input(program: Program) -> bool:
    """Return whether the targets are the input, of which every position sees what comes after: an
    autoencoder.

    False where that cannot be determined.
    """
    try:
        shifts = target_shifts(program)
        influence = program.run_probe_once(measure_future_influence)
    except UndeterminedError:
        return False
    return influence.num_affected > 0 and all(s.only_at(0, -1) == 0 for s in shifts)


def shifts_inside(program: Program) -> bool:
    """Return whether the logits at a position do not depend on its own token: the network puts
    something before the text, and asks for the token itself. False where that cannot be
    determined."""
    try:
        return not program.run_probe_once(measure_future_influence).sees_own_token
    except UndeterminedError:
        return False


def _is_masked_language_model(program: Program) -> bool:
    """Return whether the network alone, without a loss, is one of transformers' for hidden
    tokens."""
    kind = type(program.model)
    return kind.__module__.startswith("transformers.") and "MaskedLM" in kind.__name__


def has_next_token_head(probe: LossProbe) -> bool:
    """Return whether a further head of the network predicts the next token."""
    for index in range(max((len(s.heads) for s in probe.model_calls), default=0)):
        heads = tuple(s.heads[index] for s in probe.model_calls if len(s.heads) > index)
        shift = target_shift(LossProbe(probe.part, heads, None))
        if shift is not None and shift.agreement[1] >= AGREE:
            return True
    return False


def target_shift(probe: LossProbe) -> TargetShift | None:
    """Return how far the targets of a probe are from its tokens; None where that cannot be
    determined."""
    candidates = [s for s in (_along(probe, 1), _along(probe, 0)) if s is not None]
    return max(candidates, key=lambda s: max(s.agreement.values()), default=None)


def _along(probe: LossProbe, time: int) -> TargetShift | None:
    same, total = dict.fromkeys(OFFSETS, 0), dict.fromkeys(OFFSETS, 0)
    for call in probe.model_calls[:MAX_CALLS]:
        y, w, ids = call.targets_BT, call.weights_BT, call.ids_BT
        if y is None or w is None or y.shape != ids.shape or ids.ndim != 2:
            continue
        if time == 0:
            y, w, ids = y.T, w.T, ids.T
        for offset in OFFSETS:
            hits, of = _matches(y, w, ids, offset)
            same[offset] += hits
            total[offset] += of
    if min(total.values()) < MIN_TARGETS:
        return None
    return TargetShift(probe.part, {o: same[o] / total[o] for o in OFFSETS}, total[1])


def _matches(y: Tensor, w: Tensor, ids: Tensor, offset: int) -> tuple[int, int]:
    length = y.shape[1]
    first, last = max(0, -offset), length - max(0, offset)
    if last <= first:
        return 0, 0
    filling = _filling(y, w, ids)
    at = slice(first + offset, last + offset)
    # Between the text and the filling beside it no target is the token at a distance.
    ends = filling[:, at] != filling[:, first:last]
    live = (w[:, first:last] > 0) & ~ends
    equal = (y[:, first:last] == ids[:, at]) & live
    return int(equal.sum()), int(live.sum())


def _filling(y: Tensor, w: Tensor, ids: Tensor) -> Tensor:
    """Return where a row is filled up (B, T): the same token as far as its end or from its
    beginning, which is no target or its own."""
    filled = torch.zeros_like(ids, dtype=torch.bool)
    for edge in (-1, 0):
        same = (ids == ids[:, edge : edge + 1 or None]) & ((w <= 0) | (y == ids))
        run = same.flip(1).long().cumprod(1).flip(1) if edge else same.long().cumprod(1)
        filled |= run > 0
    return filled
