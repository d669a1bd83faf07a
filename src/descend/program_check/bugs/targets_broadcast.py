"""Outputs and targets of different shapes are broadcast.

What it is:
    The loss compares outputs of shape (N, 1) with targets of shape (N). They are broadcast to
    (N, N): each output is compared with the targets of all examples.

How it shows:
    The loss falls to the variance of the targets and stays there, since the best answer to all
    targets at once is their mean.

Not to be confused:
    A loss that has leveled off because there is nothing more to learn: it is below the variance.

Proof:
    The shapes that `mse_loss`, `l1_loss`, `smooth_l1_loss` or `huber_loss` is given in the first
    steps differ by a last dimension of one.

How to fix:
    `loss(outputs.squeeze(-1), targets)`, or `targets.unsqueeze(-1)`.

When it is not this:
    Both have the same shape.

Source:
    torch warns of it: "Using a target size that is different to the input size" (torch.nn.MSELoss).
"""

from __future__ import annotations

from torch import Tensor

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.loss_calls import DIFFERENCES, record_loss_calls
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult

NAMES = frozenset(function.__name__ for function in DIFFERENCES)


def look(program: Program) -> CheckResult:
    """Compare the shapes of outputs and targets."""
    calls = [c for c in program.run_probe_once(record_loss_calls) if c.name in NAMES]
    if not calls:
        return BugAbsent("the loss is a cross-entropy")
    wrong = [c for c in calls if _is_broadcast(c.outputs, c.targets)]
    if 2 * len(wrong) <= len(calls):
        return BugAbsent("outputs and targets have the same shape")
    first = wrong[0]
    return BugPresent(
        f"`{first.name}` is given outputs of shape {tuple(first.outputs.shape)} and targets of "
        f"shape {tuple(first.targets.shape)}, so each output is compared with all targets",
        program.source_location("step") if first.line is None
        else program.where_is_line(first.line),
    )  # fmt: skip


def _is_broadcast(outputs: Tensor, targets: Tensor) -> bool:
    """Return whether one side has a last dimension of one that the other lacks."""
    a, b = outputs.shape, targets.shape
    shorter, longer = (a, b) if len(a) < len(b) else (b, a)
    is_column = len(longer) == len(shorter) + 1 and longer == (*shorter, 1)
    return is_column and bool(shorter) and shorter[-1] > 1


BUG = Bug(
    name_of(__name__), look,
    "give both the same shape: `outputs.squeeze(-1)` or `targets.unsqueeze(-1)`",
)  # fmt: skip
