"""All labels are masked.

What it is:
    Every target is left out (-100 or the like), so there is nothing to learn from. Or the token
    that ends each text is left out everywhere, since padding is the same token.

How it shows:
    The loss is not a number, or 0 from the first step. With the end left out the loss looks well,
    and what the network writes never stops.

Not to be confused:
    A network whose outputs are not finite: there the loss is broken too.

Proof:
    The gradient at the logits is nothing at every position, or not a number though the logits are
    finite, in more than half of the first batches. Of rows that end: the last token is one and the
    same, the token before it is a target, and it is a target in none of them. A remark only: all
    prompts end with one token, and the first target is that token, or the one after next.

How to fix:
    Look at one batch: which labels are kept? Often the mask is upside down, or the answer was cut
    off. Mask padding by the attention mask, not by its token.

When it is not this:
    Single batches without a label, in fine-tuning on long prompts.

Source:
    torch.nn.functional.cross_entropy: the mean over no targets is not a number; trl issues.
"""

from __future__ import annotations

from descend.program_check.bug import Bug, name_of
from descend.program_check.instrumentation.call_recorder import ModelCall
from descend.program_check.probes.loss_probe import LossProbe, probe_losses, where_is_loss
from descend.program_check.probes.target_span import masked_end, shifted_begin
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult, Remark


def look(program: Program) -> CheckResult:
    """Look for targets that count."""
    num_targets = 0
    for probe in probe_losses(program):
        empty = [s for s in probe.model_calls if _is_empty(s)]
        if 2 * len(empty) > len(probe.model_calls):
            return BugPresent(
                f"no target counts in {len(empty)} of {len(probe.model_calls)} batches; the first"
                f" loss is {probe.loss}",
                where_is_loss(program, probe.part),
            )
        num_targets = sum(
            int((s.weights_BT > 0).sum()) for s in probe.model_calls if s.weights_BT is not None
        )
    for probe in probe_losses(program):
        end = masked_end(program, probe)
        if end is not None:
            return BugPresent(
                f"token {end.token} ends {end.rows} of {end.num_ended} rows that end and is a "
                f"target in none of them, while the tokens before it are{end.is_padding}",
                where_is_loss(program, probe.part),
                "mask padding by the attention mask, not by its token, or give it a token of its "
                "own: else the end is never learned and generation does not stop",
            )
    for probe in probe_losses(program):
        remark = _shifted_begin(program, probe)
        if remark is not None:
            return remark
    return BugAbsent(f"{num_targets} targets count")


def _shifted_begin(program: Program, probe: LossProbe) -> Remark | None:
    begin = shifted_begin(probe)
    if begin is None:
        return None
    words = (
        f"the targets begin two tokens after {begin.token}, which ends the prompt, and the token "
        "between differs: the first token of each answer may be left out"
        if begin.is_late
        else f"the first target is {begin.token}, and the tokens around it differ: the end of the "
        "prompt may be a target"
    )
    where = where_is_loss(program, probe.part)
    return Remark(f"in {begin.rows} rows with a prompt, {words}", where)


def _is_empty(call: ModelCall) -> bool:
    if call.is_nonfinite:
        return call.finite_logits
    return call.weights_BT is not None and not bool((call.weights_BT != 0).any())


BUG = Bug(name_of(__name__), look, "keep the labels that are to be learned: look at one batch")
