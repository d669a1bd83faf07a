"""The targets are not shifted.

What it is:
    The network is trained to predict the token that it is given, not for the one after it.

How it shows:
    The loss falls to nearly nothing within some hundred steps, and the network repeats the last
    token for ever.

Not to be confused:
    A missing causal mask also gives a loss near zero; there the targets are right and the network
    sees them.

Proof:
    The gradient at the logits is lowest at the target of each position. Laid beside the ids, the
    targets are the same tokens, not the next ones.

How to fix:
    x = ids[:, :-1], y = ids[:, 1:]. Models of transformers shift by themselves: give them labels
    equal to the ids.

When it is not this:
    Text in which every token equals the next; networks that restore hidden tokens, as BERT's, or
    tokens that they add noise to, as a diffusion's.

Source:
    Karpathy, A Recipe for Training Neural Networks (2019); nanoGPT, get_batch.
"""

from __future__ import annotations

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.loss_probe import where_is_loss
from descend.program_check.probes.target_shift import (
    describe_unshifted,
    restores_input,
    restores_noised_tokens,
    shifts_inside,
    target_shifts,
)
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult, Undetermined


def look(program: Program) -> CheckResult:
    """Lay the targets beside the tokens."""
    shifts = target_shifts(program)
    for shift in shifts:
        offset = shift.only_at(0, -1)
        if offset == 0 and restores_noised_tokens(program):
            return Undetermined("the network adds noise to its input, and restores the input")
        if offset == 0 and restores_input(program):
            return Undetermined("the network sees the whole input, and restores it")
        if offset == 0 and shifts_inside(program):
            return BugAbsent("the targets are the tokens that the network has not read yet")
        if offset is not None:
            which = "the input token" if offset == 0 else "the token before it"
            return BugPresent(
                f"{shift.agreement[offset]:.0%} of {shift.targets} targets equal {which} and "
                f"{shift.agreement[1]:.0%} the next token, which all should equal",
                where_is_loss(program, shift.part),
            )
    return describe_unshifted(shifts)


BUG = Bug(name_of(__name__), look, "ask for the next token: x = ids[:, :-1], y = ids[:, 1:]")
