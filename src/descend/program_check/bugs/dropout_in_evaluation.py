"""Dropout is on in evaluation.

What it is:
    Numbers are dropped while the network is judged or writes: dropout that ignores the mode, or an
    evaluation that never calls `model.eval()`.

How it shows:
    The validation loss is higher than it should be and differs from call to call.

Not to be confused:
    A training loss above the validation loss is normal with dropout.

Proof:
    Two forwards of one batch in evaluation mode, with different random numbers, must agree. Where
    there is a function that evaluates, the mode is noted in which it calls the network.

How to fix:
    `F.dropout(x, p, training=self.training)`, `dropout_p=p if self.training else 0.0` in attention,
    and `model.eval()` before judging.

When it is not this:
    Networks that draw numbers on purpose: normal noise, as of a diffusion, is no dropout.

Source:
    torch.nn.functional.dropout: `training` is True by default.
"""

from __future__ import annotations

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.idle_evaluation import unless_evaluation_idle
from descend.program_check.probes.train_eval_mode import (
    draws_noise,
    evaluates_in_training_mode,
    modes_matter,
    nondeterminism_in_eval,
)
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult


def look(program: Program) -> CheckResult:
    """Ask twice; look at the mode in which the program judges."""
    difference = program.run_probe_once(nondeterminism_in_eval)
    if difference > 0 and not program.run_probe_once(draws_noise):
        return BugPresent(
            f"two forwards of one batch in evaluation mode differ by {difference:.2g} of the "
            "logits' size",
            program.source_location("model"),
        )
    asleep = not program.has("evaluate") or not program.run_probe_once(evaluates_in_training_mode)
    if not asleep and program.run_probe_once(modes_matter):
        return BugPresent(
            "the evaluation calls the network in training mode, in which its outputs differ",
            program.source_location("evaluate"),
        )
    absent = BugAbsent("two forwards of one batch in evaluation mode agree")
    return unless_evaluation_idle(program, absent)


BUG = Bug(
    name_of(__name__), look,
    "let dropout follow `self.training`, and call `model.eval()` before an evaluation",
)  # fmt: skip
