"""The checkpoint is not loaded.

What it is:
    Weights are read from a file and do not arrive: names that do not match are passed over
    (`strict=False`), they go into another copy, or the network is drawn anew afterwards.

How it shows:
    "Fine-tuning" starts at the loss of an untrained network.

Not to be confused:
    A part that is new on purpose, such as a head, beside a body that was loaded.

Proof:
    Loading is watched while the program is imported, and the weights are compared with what was
    read.

How to fix:
    `strict=True`; take off prefixes such as `module.` or `_orig_mod.`; load after the network is
    complete.

When it is not this:
    The program trained on after loading, while it was imported.

Source:
    torch.nn.Module.load_state_dict, `strict`; torch.compile and DistributedDataParallel prefixes.
"""

from __future__ import annotations

import torch

from descend.program_check.bug import Bug, name_of
from descend.program_check.instrumentation.checkpoint_loads import StateDictLoad, weights_in
from descend.program_check.probes.checkpoint_round_trip import round_trip
from descend.program_check.program import Program
from descend.program_check.results import (
    BugAbsent,
    BugPresent,
    CheckResult,
    Undetermined,
    UndeterminedError,
)

FEW = 0.1
"""Fraction of the network's weights below which nothing was loaded."""


def look(program: Program) -> CheckResult:
    """Compare the network with what was read."""
    loads = program.loads
    own = [x for x in loads.networks if x.into is program.model] if loads else []
    if own:
        return _into_model(program, own[-1])
    read = _read_elsewhere(program)
    if read is not None:
        return read
    try:
        trip = program.run_probe_once(round_trip)
    except UndeterminedError as reason:
        return Undetermined(f"no checkpoint was loaded at import time; {reason}")
    if not trip.weights_restored:
        return BugPresent(
            "weights that were saved did not come back", program.source_location(trip.part)
        )
    return BugAbsent("weights that were saved came back")


def _into_model(program: Program, load: StateDictLoad) -> CheckResult:
    names = program.model.state_dict()
    where = program.source_location("model")
    if load.matched <= FEW * len(names) and load.weights:
        example = next(iter(load.weights))
        return BugPresent(
            f"{load.matched} of {len(names)} weights were in the checkpoint, whose names are like "
            f"{example!r}",
            where,
        )
    drawn = _drawn(load.weights)
    same = _arrived(program, drawn)
    if drawn and same <= FEW * len(drawn) and not program.trained_while_imported:
        return BugPresent(f"{same} of {len(drawn)} weights still are what was loaded", where)
    return BugAbsent(f"{load.matched} of {len(names)} weights were loaded")


def _read_elsewhere(program: Program) -> CheckResult | None:
    """Return a checkpoint of this very network that was read, or put into a copy, and not into
    it."""
    loads = program.loads
    checkpoints = [*(loads.files if loads else []), program.parts.get("checkpoint")]
    checkpoints += [x.weights for x in loads.networks] if loads else []
    shapes = {n: t.shape for n, t in program.model.state_dict().items()}
    for value in checkpoints:
        weights = weights_in(value, shapes)
        drawn = _drawn(weights)
        if drawn and not program.trained_while_imported:
            same = _arrived(program, drawn)
            if same > FEW * len(drawn):
                return BugAbsent(f"{same} of {len(drawn)} weights are those of the checkpoint")
            if not _is_meant(program, weights):
                return BugPresent(
                    f"a checkpoint with all {len(weights)} weights was read, and {same} of them "
                    "are in the network",
                    program.source_location("model"),
                )
    return None


def _drawn(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return those that differ from network to network: not gains of 1 and biases of 0."""
    return {
        n: w for n, w in weights.items()
        if w.is_floating_point() and w.numel() > 1 and not bool((w == w.flatten()[0]).all())
    }  # fmt: skip


def _arrived(program: Program, weights: dict[str, torch.Tensor]) -> int:
    now = program.model.state_dict()
    return sum(n in now and now[n].shape == w.shape and torch.equal(now[n].cpu(), w.cpu())
               for n, w in weights.items())  # fmt: skip


def _is_meant(program: Program, weights: dict[str, torch.Tensor]) -> bool:
    """Return whether they are in another network that the program keeps: a teacher, an average."""
    for other in program.all_of(torch.nn.Module):
        names = other.state_dict()
        inside = other is not program.model and weights.keys() <= names.keys()
        if inside and all(torch.equal(names[n].cpu(), w.cpu()) for n, w in weights.items()):
            return True
    return False


BUG = Bug(
    name_of(__name__), look,
    "load with `strict=True` into the network that is trained, after it is complete",
)  # fmt: skip
