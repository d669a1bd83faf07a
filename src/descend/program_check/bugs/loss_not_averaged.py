"""The loss is summed, not averaged.

What it is:
    The loss is the sum over all tokens of a batch, so gradients grow with batch and length.

How it shows:
    A first loss of thousands instead of ln(vocabulary); steps that are always clipped; a learning
    rate that must be changed with the batch.

Not to be confused:
    A sum that is divided by the number of tokens afterwards.

Proof:
    The weights of all tokens, read from the gradient at the logits, add up to the number of tokens
    (or of rows, or of positions) instead of 1, and the optimizer is given them so.

How to fix:
    `reduction="mean"`, or divide by the number of tokens that count.

When it is not this:
    The sum is meant, and the learning rate was chosen for it; then say so by dividing both.
    A preference or a reward sums the tokens of a text, and weighs texts differently.

Source:
    torch.nn.functional.cross_entropy, `reduction`; Karpathy's check of the first loss.
"""

from __future__ import annotations

from descend.program_check.bug import Bug, name_of
from descend.program_check.instrumentation.call_recorder import ModelCall
from descend.program_check.probes.dry_run import dry_run
from descend.program_check.probes.loss_probe import (
    LossProbe,
    probe_losses,
    probe_training_step,
    where_is_loss,
)
from descend.program_check.probes.loss_scale import effective_token_weight, loss_scale
from descend.program_check.program import Program
from descend.program_check.results import (
    BugAbsent,
    BugPresent,
    CheckResult,
    Undetermined,
    UndeterminedError,
)

SUMMED = 3.0
"""Total weight from which tokens are not averaged: a mean gives 1, and a sum the number of tokens,
rows or positions, of which there are more."""


def detect(program: Program) -> CheckResult:
    """Add up the weights of all tokens."""
    for probe in probe_losses(program):
        head = _summed_head(program, probe)
        if head is not None:
            return head
        if _weighs_on_purpose(probe.model_calls[0]):
            return Undetermined("the loss weights its tokens: it is not a plain cross-entropy")
        total = _total(program, probe)
        if total is not None and total >= SUMMED:
            call = probe.model_calls[0]
            tokens = int((call.weights_BT > 0).sum()) if call.weights_BT is not None else 0
            return BugPresent(
                f"the {tokens} token weights of a batch sum to {total:,.3g}, expected "
                f"1{_stated(probe)}",
                where_is_loss(program, probe.part),
            )
    return BugAbsent("the token weights of a batch sum to about 1")


MAX_UNEXPLAINED_ROWS = 0.1
MAX_VARIATION = 0.3
"""Deviation of the weights of tokens over their mean: 0 in a sum; rewards differ by more."""


def _weighs_on_purpose(call: ModelCall) -> bool:
    """Return whether the loss is a preference or a reward, which sums over the tokens of a text."""
    if call.unexplained_rows > MAX_UNEXPLAINED_ROWS:
        return True
    live = call.weights_BT[call.weights_BT > 0] if call.weights_BT is not None else None
    if live is None or len(live) < 2:
        return False
    return float(live.std()) > MAX_VARIATION * float(live.mean())


def _summed_head(program: Program, probe: LossProbe) -> BugPresent | None:
    """Return a further output over the vocabulary, such as that for the token after next, in a
    sum."""
    model_call = probe.model_calls[0]
    scale = loss_scale(program) if probe.part == "step" else 1.0
    for number, head in enumerate(model_call.heads):
        is_plain = head.weights_BT is not None and head.misfit < EXPLAINED
        if is_plain and head.total_weight / scale >= SUMMED > model_call.total_weight / scale:
            return BugPresent(
                f"the targets of auxiliary head {number + 1} weigh "
                f"{head.total_weight / scale:,.3g} in all, those of the first head "
                f"{model_call.total_weight / scale:,.3g}, instead of about 1{_stated(probe)}",
                where_is_loss(program, probe.part),
            )
    return None


EXPLAINED = 0.02
"""Fraction of the gradient that a cross-entropy may leave unexplained."""


def _stated(probe: LossProbe) -> str:
    return f"; the first loss is {probe.loss:,.1f}" if probe.loss is not None else ""


def _total(program: Program, probe: LossProbe) -> float | None:
    if probe.part == "step":
        updates = [u for u in program.run_probe_once(dry_run).updates if u.model_calls]
        scale = loss_scale(program)
        # Many forwards a step are the business of accumulation_misreduced: each is judged alone.
        each = [effective_token_weight(u, scale) / len(u.model_calls) for u in updates]
        if each:
            return sorted(each)[len(each) // 2]
        return probe.model_calls[0].total_weight / scale
    if _step_averages_loss(program):
        return None
    return probe.model_calls[0].total_weight


def _step_averages_loss(program: Program) -> bool:
    """Return whether `step`, which is what trains, averages what `loss` sums."""
    try:
        probe = program.run_probe_once(probe_training_step)
    except UndeterminedError:
        return False
    total = _total(program, probe)
    return total is not None and total < SUMMED


BUG = Bug(name_of(__name__), detect, 'average over the tokens that count (`reduction="mean"`)')
