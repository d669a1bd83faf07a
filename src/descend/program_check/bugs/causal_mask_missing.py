"""There is no causal mask.

What it is:
    Every position of the text sees all others, also those that come after it. The network reads
    the answer instead of predicting it.

How it shows:
    The loss falls far below what text of this kind allows, and the network writes nonsense. A
    token that is changed at the end moves the logits at the beginning.

Not to be confused:
    A mask that leaks lets some of the future through: by one position, in one layer, or weakly.

Proof:
    One token at a time is changed, in evaluation mode. Logits before it must not move by more
    than rounding explains.

How to fix:
    Add -inf to the attention scores where the key comes after the query, before the softmax;
    `is_causal=True` in `scaled_dot_product_attention`; a recurrent network must run one way.

When it is not this:
    A network that is meant to see both sides (BERT, a diffusion, an encoder) is not trained
    on the next token: that is seen from its targets.

Source:
    Vaswani et al. 2017, section 3.2.3; diagnosis by changed tokens: Karpathy, nn-zero-to-hero.
"""

from __future__ import annotations

from functools import partial

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.network import ask_once
from descend.program_check.probes.target_shift import has_another_task
from descend.program_check.probes.token_influence import FutureInfluence, measure_future_influence
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult, Undetermined


def look(program: Program) -> CheckResult:
    """Change later tokens and watch earlier logits."""
    influence = measure_leak(program)
    if not isinstance(influence, FutureInfluence):
        return influence
    if not is_missing(influence):
        return BugAbsent("some later tokens are masked: see causal_mask_leaky")
    return BugPresent(
        f"a changed token moves the logits of all positions before it ({influence.num_affected} of"
        f" {influence.pairs} pairs tried, by up to {influence.max_relative_change:.2g} of their"
        " size)",
        program.where_is_attention(influence.open_parts, partial(ask_once, program)),
    )


BOTH_SIDES = (
    "the targets are not the next tokens: a network for hidden or corrupted tokens is meant to see "
    "both sides"
)


def measure_leak(program: Program) -> FutureInfluence | BugAbsent | Undetermined:
    """Return what later tokens do to earlier logits, or why that is no bug."""
    influence = program.run_probe_once(measure_future_influence)
    if not influence.num_affected:
        return BugAbsent(
            f"{influence.pairs} pairs of positions tried: no logit moves before a change"
        )
    if has_another_task(program):
        return Undetermined(BOTH_SIDES)
    return influence


def is_missing(influence: FutureInfluence) -> bool:
    """Return whether nothing is hidden, in no part of the network that mixes positions."""
    everywhere = influence.num_affected == influence.pairs and not influence.closed_parts
    return everywhere and influence.balance >= EVEN


EVEN = 0.3
"""Effect on earlier over effect on later tokens from which nothing holds the future back: 1 without
a mask; a mask of -3 in place of -inf gives 0.05."""

BUG = Bug(
    name_of(__name__),
    look,
    "mask the scores of later positions with -inf before the softmax (or `is_causal=True`)",
)
