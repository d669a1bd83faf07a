"""Softmax before cross-entropy.

What it is:
    The cross-entropy takes logits and applies a softmax itself; here it is given probabilities.

How it shows:
    The loss hardly falls: with probabilities between 0 and 1 it cannot go below
    ln(e + V - 1) - 1, about ln V - 1.

Not to be confused:
    A log-softmax before `nll_loss`, which is right, or before `cross_entropy`, which does no harm.

Proof:
    The gradient at the network's outputs is that of a cross-entropy of their softmax, to a few
    millionths, and not that of a cross-entropy of the outputs; or the outputs themselves are
    probabilities and the loss treats them as logits.

How to fix:
    Give `cross_entropy` the logits.

When it is not this:
    Other losses on purpose, whose gradient is neither.

Source:
    Karpathy, the most common neural net mistakes (2018), number 4.
"""

from __future__ import annotations

from descend.program_check.bug import Bug, name_of
from descend.program_check.instrumentation.call_recorder import ModelCall
from descend.program_check.probes.loss_probe import LossProbe, probe_losses, where_is_loss
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult
from descend.program_check.source_lines import last_softmax_line

EXPLAINED = 0.02
"""Fraction of the gradient that may be left unexplained."""

ROUNDING = 1e-5
"""Fraction that both leave of two outputs, whose gradients all have one direction."""

BETTER = 0.2
"""The right explanation leaves at most this fraction of what the wrong one leaves."""


def look(program: Program) -> CheckResult:
    """Ask which loss the gradient at the outputs belongs to."""
    for probe in probe_losses(program):
        wrong = [s for s in probe.model_calls if _twice(s) or _of_probabilities(s)]
        if 2 * len(wrong) > len(probe.model_calls):
            what = (
                "the network returns probabilities and the loss takes them for logits"
                if _of_probabilities(wrong[0])
                else "the gradient is that of a softmax before the cross-entropy (relative error "
                f"{wrong[0].misfit_of_two:.1e}, without that softmax {wrong[0].misfit:.1e})"
            )
            return BugPresent(what, _where(program, probe, wrong[0]))
    return BugAbsent("the gradient is not that of a cross-entropy of probabilities")


def _where(program: Program, probe: LossProbe, call: ModelCall) -> str:
    """Return the line of the softmax in the network, or that of the loss."""
    if _of_probabilities(call):
        line = last_softmax_line(program.file, lambda: program.model(*call.args, **call.kwargs))
        if line is not None:
            return program.where_is_line(line)
    return where_is_loss(program, probe.part)


def _twice(call: ModelCall) -> bool:
    explained = call.misfit_of_two < EXPLAINED and call.misfit_of_two < BETTER * call.misfit
    return explained and call.misfit > ROUNDING


def _of_probabilities(call: ModelCall) -> bool:
    return call.probabilities and call.misfit < EXPLAINED


BUG = Bug(name_of(__name__), look, "give `cross_entropy` logits: it applies the softmax itself")
