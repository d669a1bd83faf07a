"""Weights are not in the optimizer.

What it is:
    Weights get gradients that nobody uses: a part was added after the optimizer was made, a group
    was left out, layers stand in a plain list that `parameters()` does not enter, or the optimizer
    holds the weights of another copy of the network.

How it shows:
    The loss stops high, since a part of the network stays as it was drawn.

Not to be confused:
    Frozen weights, which get no gradient.

Proof:
    The weights of the network, by identity, against those of every optimizer that the program has
    or uses; and whether they moved.

How to fix:
    Make the optimizer from `model.parameters()` after the network is complete and in its place.
    Keep layers in an `nn.ModuleList`.

When it is not this:
    Weights that the forward does not use; weights that another optimizer or the program itself
    moves.

Source:
    TrainCheck (OSDI 2025); transformers issues on optimizers made before `resize_token_embeddings`.
"""

from __future__ import annotations

from torch import Tensor

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.dry_run import DryRun
from descend.program_check.probes.side_weights import side_weights
from descend.program_check.probes.weight_usage import (
    looks_random,
    try_dry_run,
    weights_affecting_logits,
)
from descend.program_check.program import Program
from descend.program_check.results import (
    BugAbsent,
    BugPresent,
    CheckResult,
    Undetermined,
    UndeterminedError,
)
from descend.units import list_names


def look(program: Program) -> CheckResult:
    """Compare the network's weights with those that optimizers hold."""
    dry_run_result = try_dry_run(program)
    optimizers = {id(o): o for o in program.optimizers}
    if dry_run_result is not None:
        optimizers |= {id(u.optimizer): u.optimizer for u in dry_run_result.updates}
    if not optimizers:
        return Undetermined("there is no torch optimizer")
    optimized_ids = {
        id(p) for o in optimizers.values() for g in o.param_groups for p in g["params"]
    }
    named = [(n, p) for n, p in program.model.named_parameters() if p.requires_grad]
    outside = [
        n
        for n, p in named
        if id(p) not in optimized_ids
        and (dry_run_result is None or n not in dry_run_result.changed_weights)
    ]
    beside = _beside(program, dry_run_result, optimized_ids)
    if beside:
        return BugPresent(
            f"a gradient comes to {len(beside)} weights that are in no optimizer: "
            f"{list_names(list(beside))}",
            _where(program, next(iter(beside))),
            "keep layers in an `nn.ModuleList`, and give the optimizer the weights of all networks",
        )
    if not outside:
        return BugAbsent(f"all {len(named)} trainable weights are in an optimizer")
    try:
        missing = weights_affecting_logits(program, outside)
    except UndeterminedError:
        missing = outside
    if not missing:
        return BugAbsent(
            f"{len(outside)} weights are in no optimizer, and the logits do not need them"
        )
    own = {id(p) for _, p in named}
    num_unrelated = len(optimized_ids - own)
    stale = f"; it holds {num_unrelated} that are not the network's" if num_unrelated else ""
    return BugPresent(
        f"{len(missing)} of {len(named)} trainable weights are in no optimizer{stale}: "
        f"{list_names(missing)}",
        program.source_location("optimizer") if program.has("optimizer") else f"model.{missing[0]}",
    )


def _beside(
    program: Program, dry_run_result: DryRun | None, optimized_ids: set[int]
) -> dict[str, Tensor]:
    """Return weights outside the network that a gradient comes to and nobody moves; none if
    trained."""
    if dry_run_result is None:
        return {}
    weights = {
        n: p for n, p in side_weights(program).items()
        if id(p) not in optimized_ids and n in dry_run_result.weights_with_gradient
        and n not in dry_run_result.changed_weights
    }  # fmt: skip
    return weights if any(map(looks_random, weights.values())) else {}


def _where(program: Program, name: str) -> str:
    """Return the line that makes the list of layers, or the other network."""
    attribute = name.partition("[")[0]
    return program.where_is_weight(attribute) if "[" in name else program.where_is_side_weight(name)


BUG = Bug(
    name_of(__name__), look,
    "make the optimizer from `model.parameters()` once the network is complete",
)  # fmt: skip
