"""Weight decay on norms.

What it is:
    The gains of LayerNorm or RMSNorm are pulled towards zero like the matrices.

How it shows:
    Gains shrink by (1 - rate x decay) a step; activations fade, the longer one trains the more.

Not to be confused:
    Decay of matrices and embeddings, which is usual.

Proof:
    The groups of every optimizer, by identity of the weights. Only a note, whatever the decay: it
    is a choice that recipes differ in, and no error in what is computed.

How to fix:
    Two groups: weights of two and more dimensions with decay, all others with none.

When it is not this:
    Gains that are stored as their difference from 1, for which zero is no harm.

Source:
    nanoGPT, configure_optimizers; Loshchilov and Hutter 2019 for the decay itself.
"""

from __future__ import annotations

from torch import nn

from descend.program_check.bug import Bug, name_of
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, CheckResult, Remark, Undetermined
from descend.units import list_names


def look(program: Program) -> CheckResult:
    """Find norms in groups with decay."""
    optimizers = program.optimizers
    if not optimizers:
        return Undetermined("there is no torch optimizer")
    norm_weight_names = {id(p): n for n, p in find_norm_weights(program.model).items()}
    if not norm_weight_names:
        return Undetermined("the network has no norms with weights", applies=False)
    groups = [g for o in optimizers for g in o.param_groups]
    decays = [float(g.get("weight_decay", 0.0) or 0.0) for g in groups]
    hit: list[str] = []
    decay = 0.0
    for group, strength in zip(groups, decays, strict=True):
        names = [norm_weight_names[id(p)] for p in group["params"] if id(p) in norm_weight_names]
        if names and strength > 0:
            hit += names
            decay = max(decay, strength)
    if not hit:
        return BugAbsent(f"no weight decay on {len(norm_weight_names)} norm weights")
    evidence = (
        f"weight decay of {decay:g} also applies to {len(hit)} norm weights: {list_names(hit)}"
    )
    where = (
        program.source_location("optimizer")
        if program.has("optimizer")
        else program.source_location("step")
    )
    return Remark(f"{evidence}; recipes differ in that, and it is no error", where)


def find_norm_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the multiplying weights of all norms, by name."""
    return {
        f"{name}.weight" if name else "weight": module.weight
        for name, module in model.named_modules()
        if "norm" in type(module).__name__.lower()
        and isinstance(getattr(module, "weight", None), nn.Parameter)
        and module.weight.ndim <= 1
    }


BUG = Bug(
    name_of(__name__), look,
    "put weights with fewer than two dimensions into a group with `weight_decay=0`",
)  # fmt: skip
