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
    millionths, and not that of a cross-entropy of the outputs; or the outputs themselves, or what
    `cross_entropy` is given, are probabilities and the loss treats them as logits.

How to fix:
    Give `cross_entropy` the logits.

When it is not this:
    Other losses on purpose, whose gradient is neither.

Source:
    Karpathy, the most common neural net mistakes (2018), number 4.
"""

from __future__ import annotations

from torch import Tensor

from descend.program_check.bug import Bug, name_of
from descend.program_check.instrumentation.call_recorder import ModelCall
from descend.program_check.probes.loss_calls import record_loss_calls
from descend.program_check.probes.loss_probe import LossProbe, probe_losses, where_is_loss
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult, UndeterminedError
from descend.program_check.source_lines import last_softmax_line

EXPLAINED = 0.02
"""Fraction of the gradient that may be left unexplained."""

ROUNDING = 1e-5
"""Fraction that both leave of two outputs, whose gradients all have one direction."""

MAX_SUM_ERROR = 1e-2
"""By which probabilities in bfloat16 may fail to add up to 1."""

BETTER = 0.2
"""The right explanation leaves at most this fraction of what the wrong one leaves."""


def look(program: Program) -> CheckResult:
    """Ask which loss the gradient at the outputs belongs to; where that cannot be had, what the
    loss is given."""
    try:
        probes = probe_losses(program)
    except UndeterminedError as problem:
        return _by_loss_calls(program, problem)
    for probe in probes:
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


def _by_loss_calls(program: Program, problem: UndeterminedError) -> CheckResult:
    """Look at what `cross_entropy` is given in the first steps; raise `problem` where it is not
    called."""
    try:
        calls = program.run_probe_once(record_loss_calls)
    except UndeterminedError:
        raise problem from None
    calls = [c for c in calls if c.name == "cross_entropy"]
    if not calls:
        raise problem
    wrong = [c for c in calls if _are_probabilities(c.outputs)]
    if 2 * len(wrong) <= len(calls):
        return BugAbsent("what `cross_entropy` is given is no distribution")
    return BugPresent(
        "`cross_entropy` is given numbers from 0 to 1 that add up to 1, which are probabilities",
        program.source_location("step") if wrong[0].line is None
        else program.where_is_line(wrong[0].line),
    )  # fmt: skip


def _are_probabilities(outputs: Tensor) -> bool:
    """Return whether the classes of each example are a distribution."""
    classes = 1 if outputs.ndim > 1 else 0
    if outputs.shape[classes] < 2 or not bool(((outputs >= 0) & (outputs <= 1)).all()):
        return False
    sums = outputs.double().sum(classes)
    return bool((sums - 1).abs().max() < MAX_SUM_ERROR)


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
