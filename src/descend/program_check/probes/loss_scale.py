"""By how much the tokens of a step count in the end, after scaling and unscaling."""

from __future__ import annotations

from descend.program_check.probes.dry_run import OptimizerStepRecord, dry_run
from descend.program_check.program import Program

MIN_SCALE = 16.0
"""A gradient scaler's factor is 65536 at first and halved at overflows: below this is none."""

DIVIDED = 0.03
"""How near to 1 the weight must be for gradients to count as divided: clipping, which scales them
too, hits this by chance only."""


def loss_scale(program: Program) -> float:
    """Return what a gradient scaler multiplied the loss by; 1 without one."""
    from torch.amp.grad_scaler import GradScaler

    if not program.run_probe_once(dry_run).precision.uses_grad_scaler:
        return 1.0
    scales = [s.get_scale() for s in program.all_of(GradScaler) if s.is_enabled()]
    return max(scales, default=1.0)


def effective_token_weight(update: OptimizerStepRecord, scale: float = 1.0) -> float:
    """Sum of the weights of all tokens in `update`, in units of `scale`.

    Gradients that were divided after they had been computed count as divided: what the optimizer
    is given is `update.new` times what arrived.
    """
    total = sum(s.total_weight for s in update.model_calls) / scale
    # Unscaling shows in `new` too; what remains of it beyond is the program's own doing.
    factor = update.new * scale if update.new is not None else 1.0
    return total * factor if abs(total * factor - 1) < DIVIDED else total
