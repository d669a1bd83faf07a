"""float16 without loss scaling.

What it is:
    Gradients are computed in float16, whose smallest number is 6e-8: without a scaled loss many
    become zero. Or they are clipped while they are still scaled.

How it shows:
    Training in float16 stalls or ends higher than in float32, without an error.

Not to be confused:
    bfloat16 has the range of float32 and needs no scaling.

Proof:
    Seen while the program steps: float16 is requested, no gradient scaler takes part, and the
    weight of the tokens at the logits is not enlarged.

How to fix:
    `torch.amp.GradScaler`: scale, backward, unscale_, clip, step, update. Or bfloat16.

When it is not this:
    float16 in evaluation only.

Source:
    Micikevicius et al. 2018, Mixed Precision Training; torch.amp documentation.
"""

from __future__ import annotations

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.dry_run import dry_run
from descend.program_check.probes.loss_scale import MIN_SCALE, loss_scale
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult
from descend.program_check.source_lines import call_line

MAX_CLIPPED_FRACTION = 1e-3
"""Fraction of the gradients that is left if they were clipped to about 1 before they were unscaled:
1 over a scale of 65536 or so, times a norm of at most a hundred."""


def look(program: Program) -> CheckResult:
    """See what the steps ask for."""
    dry_run_result = program.run_probe_once(dry_run)
    learned = dry_run_result.learned()
    half = dry_run_result.precision.uses_float16 or any(s.half for s in learned)
    where = program.source_location("step")
    scale = loss_scale(program)
    if not half and scale < MIN_SCALE:
        return BugAbsent("no training in float16")
    by_hand = max((s.total_weight for s in learned), default=0.0)
    if not dry_run_result.precision.uses_grad_scaler and by_hand < MIN_SCALE:
        return BugPresent(
            "the network is trained in float16 and no gradient scaler takes part", where
        )
    clip = call_line(program.file, "clip_grad")
    gradient_fractions = [u.new * scale for u in dry_run_result.updates if u.new is not None]
    if scale >= MIN_SCALE and gradient_fractions and max(gradient_fractions) < MAX_CLIPPED_FRACTION:
        return BugPresent(
            f"{max(gradient_fractions):.1e} of the gradients is left: they are clipped while still"
            f" scaled by {scale:g}",
            program.where_is_line(clip) if clip else where,
            "call `scaler.unscale_(optimizer)` before clipping",
        )
    return BugAbsent("the loss is scaled")


BUG = Bug(name_of(__name__), look, "scale the loss with `torch.amp.GradScaler`, or use bfloat16")
