"""The targets are shifted twice.

What it is:
    The network is trained to predict the token after the next: the batch is shifted already, and
    the loss (or a model of transformers, which shifts by itself) does it again.

How it shows:
    The loss falls slowly and stops high; what the network writes leaves out every other word.

Not to be confused:
    A vocabulary or network that is too small also stops high, with the right targets.

Proof:
    The gradient at the logits is lowest at the target of each position. Laid beside the ids, the
    targets are the tokens two places on.

How to fix:
    Shift in one place. Models of transformers want labels equal to the ids.

When it is not this:
    Extra heads that look two tokens ahead on purpose, beside one that looks one ahead.

Source:
    transformers, GPT2LMHeadModel: "the labels are shifted inside the model".
"""

from __future__ import annotations

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.loss_probe import probe_losses, where_is_loss
from descend.program_check.probes.target_shift import (
    describe_unshifted,
    has_next_token_head,
    target_shifts,
)
from descend.program_check.program import Program
from descend.program_check.results import BugPresent, CheckResult


def look(program: Program) -> CheckResult:
    """Lay the targets beside the tokens."""
    shifts = target_shifts(program)
    by_part = {probe.part: probe for probe in probe_losses(program)}
    for shift in shifts:
        offset = shift.only_at(2, 3)
        if offset is not None and not has_next_token_head(by_part[shift.part]):
            return BugPresent(
                f"{shift.agreement[offset]:.0%} of {shift.targets} targets are the token {offset} "
                f"places on, {shift.agreement[1]:.0%} the next one",
                where_is_loss(program, shift.part),
            )
    return describe_unshifted(shifts)


BUG = Bug(name_of(__name__), look, "shift once: either where batches are made or in the loss")
