"""The network is left in evaluation mode.

What it is:
    After an evaluation or from the start the network trains as if it were being judged: no
    dropout, and norms over batches stand still.

How it shows:
    The training loss takes a step down after the first evaluation; overfitting comes early.

Not to be confused:
    A dropout rate of zero, which is a choice.

Proof:
    The mode is noted each time that a gradient comes back: after the program's own evaluation,
    where it has one, and for many steps. A remark only if the mode makes no difference.

How to fix:
    `model.train()` at the start of every step, or after every evaluation.

When it is not this:
    Parts that are kept in evaluation mode on purpose while the rest trains.

Source:
    torch.nn.Module.eval; TrainCheck (OSDI 2025), the most common silent error it found.
"""

from __future__ import annotations

import re

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.dry_run import (
    FLOPS,
    DryRun,
    dry_run,
    num_affordable_calls,
    run_steps,
)
from descend.program_check.probes.idle_evaluation import unless_evaluation_idle
from descend.program_check.probes.train_eval_mode import after_evaluation, modes_matter
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult, Remark, Undetermined
from descend.program_check.source_lines import mention_line

EVERY = re.compile(
    r"(eval|val|valid).*(interval|every|freq|steps)|every.*(eval|val)", re.IGNORECASE
)


MAX_CALLS = 300
"""Calls of `step` that are made to see what follows an evaluation inside it."""


MAX_FLOPS = 30 * FLOPS
"""Operations that they may take: half a minute on one core."""


def interval(program: Program) -> int | None:
    """After how many steps the program evaluates, where a number of it says so."""
    values = [v for name, v in program.namespace.items()
              if EVERY.search(name) and isinstance(v, int) and 0 < v < MAX_CALLS]  # fmt: skip
    return max(values, default=None)


def is_affordable(program: Program, every: int) -> bool:
    """Return whether so many steps can be made until the evaluation inside them was seen."""
    batches = program.run_probe_once(dry_run).batches
    return num_affordable_calls(program, batches, MAX_FLOPS, MAX_CALLS) >= min(MAX_CALLS, every + 3)


def past_interval(program: Program) -> DryRun:
    """Return a dry run that is long enough to see the step after an evaluation."""
    calls = program.run_probe_once(dry_run).calls
    return run_steps(program, max(calls, min(MAX_CALLS, (interval(program) or 0) + 3)))


def look(program: Program) -> CheckResult:
    """Note the mode whenever a gradient comes back."""
    every = interval(program)
    reaches = every is None or is_affordable(program, every)
    learned = program.run_probe_once(
        past_interval if every is not None and reaches else dry_run
    ).learned_modes()
    asleep = [is_training for is_training in learned if not is_training]
    evidence = f"{len(asleep)} of {len(learned)} trained forwards were in evaluation mode"
    where = program.source_location("step")
    part = None
    if not asleep and program.has("evaluate"):
        part = program.run_probe_once(after_evaluation)
    if part is not None:
        evidence = "after an evaluation, `step` trains the network in evaluation mode"
        evaluate = program.get(part)
        line = mention_line(getattr(evaluate, "defined_as", evaluate), ".eval()")
        where = program.where_is_line(line) if line else program.source_location(part)
    if not learned:
        return Undetermined("no gradient came back to the outputs of the network")
    if not asleep and part is None and not reaches and not program.has("evaluate"):
        return Undetermined(f"the step after an evaluation, {every} steps on, takes too long")
    if not asleep and part is None:
        absent = BugAbsent(f"{len(learned)} trained forwards were in training mode")
        return unless_evaluation_idle(program, absent)
    if not program.run_probe_once(modes_matter):
        return Remark(evidence + "; its outputs are the same in both", where)
    return BugPresent(evidence, where)


BUG = Bug(name_of(__name__), look, "call `model.train()` at the start of every step")
