"""Weights are frozen.

What it is:
    Weights that the result depends on cannot learn: `requires_grad` is off, or a `detach()`,
    `no_grad()`, `.data` or a reentrant checkpoint of a frozen input cuts them off.

How it shows:
    The loss stops high, since a part of the network stays random.

Not to be confused:
    Weights that learn but stand in no optimizer. Weights that start at zero and whose gradient is
    zero in the first steps.

Proof:
    No gradient comes to them in several steps, yet the logits move when they are shaken. Of those
    whose `requires_grad` is off, matrices count that look as they were drawn, since what was
    trained before, or has adapters trained beside it, is frozen on purpose.

How to fix:
    `requires_grad_(True)` before the optimizer is made; no `detach()` in the forward.

When it is not this:
    Fixed tables (sinusoids), networks tuned by adapters, trained parts that are kept.

Source:
    TrainCheck (OSDI 2025); edge of the spectrum of random matrices: Marchenko and Pastur 1967.
"""

from __future__ import annotations

from descend.program_check.adapters import is_frozen_on_purpose
from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.dry_run import DryRun
from descend.program_check.probes.idle_optimizers import unless_idle
from descend.program_check.probes.side_weights import side_weights, weights_affecting_step
from descend.program_check.probes.weight_usage import (
    looks_random,
    try_dry_run,
    weights_affecting_logits,
    weights_without_gradient,
)
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult, UndeterminedError
from descend.units import list_names


def look(program: Program) -> CheckResult:
    """Find weights that affect the loss and cannot learn: cut off, or frozen as they were drawn."""
    named = dict(program.model.named_parameters())
    trainable = [n for n, p in named.items() if p.requires_grad]
    dry_run_result = try_dry_run(program)
    cut = weights_affecting_logits(program, _without_gradient(program, trainable, dry_run_result))
    if cut:
        return BugPresent(
            f"{len(cut)} of {len(trainable)} trainable weights affect the logits and get no "
            f"gradient: {list_names(cut)}",
            program.where_is_weight(cut[0], is_cut_off=True),
            "take `detach()` and `no_grad()` out of the forward; under reentrant checkpointing an "
            "input must need a gradient: `use_reentrant=False`, or "
            "`model.enable_input_require_grads()`",
        )
    beside = _cut_off_beside(program, dry_run_result)
    if beside:
        return BugPresent(
            f"{len(beside)} weights are in the optimizer, affect the loss, and get no gradient: "
            f"{list_names(beside)}",
            program.where_is_side_weight(beside[0], is_cut_off=True),
            "take `detach()` and `no_grad()` out of what comes before the network",
        )
    still = [n for n, p in named.items() if not p.requires_grad and looks_random(p)
             and not (dry_run_result and n in dry_run_result.changed_weights)]  # fmt: skip
    if still and is_frozen_on_purpose(program.model):
        return BugAbsent(f"gradients come to the {len(trainable)} weights that are trained beside "
                        "a frozen base")  # fmt: skip
    frozen = weights_affecting_logits(program, still)
    if not frozen:
        absent = BugAbsent(f"{len(trainable)} of {len(named)} weights can learn")
        return unless_idle(program, absent)
    return BugPresent(
        f"{len(frozen)} random matrices affect the loss and cannot learn (`requires_grad` is off): "
        f"{list_names(frozen)}",
        program.where_is_weight(frozen[0]),
    )


def _cut_off_beside(program: Program, dry_run_result: DryRun | None) -> list[str]:
    """Return weights of other networks that an optimizer holds, no gradient comes to, and a step
    needs."""
    if dry_run_result is None or not dry_run_result.updates:
        return []
    stepped = {id(u.optimizer): u.optimizer for u in dry_run_result.updates}
    optimized = {id(p) for o in stepped.values() for g in o.param_groups for p in g["params"]}
    cut = {
        n: p for n, p in side_weights(program).items()
        if id(p) in optimized and n not in dry_run_result.weights_with_gradient
    }  # fmt: skip
    return weights_affecting_step(program, cut) if cut else []


def _without_gradient(
    program: Program, trainable: list[str], dry_run: DryRun | None
) -> list[str]:  # fmt: skip
    """Return weights that are to be trained and that no gradient came to in any step."""
    if dry_run is not None and dry_run.weights_with_gradient:
        return [
            n
            for n in trainable
            if n not in dry_run.weights_with_gradient and n not in dry_run.changed_weights
        ]
    changed_weights = dry_run.changed_weights if dry_run is not None else set()
    try:
        return [
            n for n in program.run_probe_once(weights_without_gradient) if n not in changed_weights
        ]
    except UndeterminedError:
        if dry_run is None:
            raise
        return []


BUG = Bug(
    name_of(__name__), look,
    "turn `requires_grad` on for them, and take `detach()` and `no_grad()` out of the forward",
)  # fmt: skip
