"""The causal mask leaks.

What it is:
    Some of the future gets through: the mask is off by one, one layer or head has none, its
    numbers are too small, or something else mixes positions (a norm or a mean over time, a
    convolution padded on both sides).

How it shows:
    The loss is lower than it should be, more so the longer one trains; what the network writes is
    worse than its loss promises.

Not to be confused:
    Without any mask all positions see all others, in every layer.

Proof:
    One token at a time is changed, in evaluation mode. Logits before it must not move by more
    than rounding explains.

How to fix:
    `torch.triu(torch.ones(T, T), diagonal=1)` is what must be hidden: the diagonal is the
    position itself. Use -inf. Pad convolutions on the left only, norm over features only.

When it is not this:
    Differences of a few millionths between calls are rounding.

Source:
    Vaswani et al. 2017, section 3.2.3; diagnosis by changed tokens: Karpathy, nn-zero-to-hero.
"""

from __future__ import annotations

from functools import partial

from descend.program_check.bug import Bug, name_of
from descend.program_check.bugs.causal_mask_missing import is_missing, measure_leak
from descend.program_check.probes.network import ask_once
from descend.program_check.probes.token_influence import FutureInfluence
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult


def look(program: Program) -> CheckResult:
    """Change later tokens and watch earlier logits."""
    influence = measure_leak(program)
    if not isinstance(influence, FutureInfluence):
        return influence
    if is_missing(influence):
        return BugAbsent("no later token is masked: see causal_mask_missing")
    assert influence.nearest
    earlier, later = influence.nearest
    return BugPresent(
        f"the logits at position {earlier} move when the token at {later} changes"
        f" ({influence.num_affected} of {influence.pairs} pairs tried, by up to"
        f" {influence.max_relative_change:.2g} of their size)",
        program.where_is_attention(influence.open_parts, partial(ask_once, program)),
    )


BUG = Bug(
    name_of(__name__),
    look,
    "hide exactly what comes after the position itself, with -inf, in every layer and head",
)
