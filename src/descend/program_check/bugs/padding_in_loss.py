"""Padding is counted in the loss.

What it is:
    Texts are filled up to one length, and the network is trained to predict the filling.

How it shows:
    A loss that is far too low from early on, and a model that loves to stop.

Not to be confused:
    The end of a text is a target like others, once: where it is the same token as the padding,
    the first one counts.

Proof:
    The gradient at the logits is nothing where a position is left out. The weight of padded
    targets is added up.

How to fix:
    `ignore_index=pad_id` in the cross-entropy, or -100 in labels where the attention mask is 0.

When it is not this:
    There is no padding: texts are cut from one stream.

Source:
    torch.nn.functional.cross_entropy, `ignore_index`; transformers issue on labels and padding.
"""

from __future__ import annotations

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.loss_probe import probe_losses, where_is_loss
from descend.program_check.probes.padding import detect_pad_token, padding_mask
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult, Undetermined

COUNTED = 0.5
"""Fraction of padded targets with weight from which padding counts: all or none, as a rule."""

MIN_PADDED_TOKENS = 4


def look(program: Program) -> CheckResult:
    """Add up the weight of padded targets."""
    pad, why = detect_pad_token(program)
    if pad is None:
        return Undetermined(why)
    worst: CheckResult = Undetermined(f"no row of the first batches is padded (with {pad})")
    for probe in probe_losses(program):
        counted = total = 0
        fraction = 0.0
        for call in probe.model_calls:
            hidden = padding_mask(call, pad)
            if hidden is None or call.weights_BT is None:
                continue
            live = call.weights_BT > 0
            counted += int((live & hidden).sum())
            total += int(hidden.sum())
            fraction = max(fraction, float((live & hidden).sum() / live.sum().clamp_min(1)))
        if total >= MIN_PADDED_TOKENS and counted >= COUNTED * total:
            return BugPresent(
                f"{counted} of {total} padded targets (token {pad}, {why}) count in the loss, up "
                f"to {fraction:.0%} of a batch",
                where_is_loss(program, probe.part),
            )
        if total >= MIN_PADDED_TOKENS:
            worst = BugAbsent(f"{counted} of {total} padded targets count in the loss")
    return worst


BUG = Bug(
    name_of(__name__), look,
    "exclude padding: use `ignore_index=pad_id`, or labels of -100 where the mask is 0",
)  # fmt: skip
