"""A resume forgets its state.

What it is:
    Training goes on from a checkpoint with the old weights and a new optimizer or schedule.

How it shows:
    The loss jumps at the resume, the rate starts again with warmup.

Not to be confused:
    Training another task from given weights, where a new optimizer is right.

Proof:
    The checkpoint that was read while the program was imported holds an optimizer's state that
    nobody took; or the program's own `save(path)` and `resume(path)` are tried in a folder of
    their own, and what optimizers and schedules know is compared.

How to fix:
    Save and load the state_dict of model, optimizer, schedule and scaler, and the place in the
    data.

When it is not this:
    The checkpoint holds weights only.

Source:
    PyTorch tutorial "Saving and loading a general checkpoint".
"""

from __future__ import annotations

from descend.program_check.bug import Bug, name_of
from descend.program_check.instrumentation.checkpoint_loads import optimizer_states
from descend.program_check.probes.checkpoint_round_trip import round_trip
from descend.program_check.program import Program
from descend.program_check.results import (
    BugAbsent,
    BugPresent,
    CheckResult,
    Undetermined,
    UndeterminedError,
)


def look(program: Program) -> CheckResult:
    """See what was read and not used; try the program's own functions."""
    taken = _while_imported(program)
    if isinstance(taken, BugPresent):
        return taken
    try:
        trip = program.run_probe_once(round_trip)
    except UndeterminedError as reason:
        return taken or Undetermined(str(reason))
    if not trip.meant:
        return Undetermined("the checkpoint holds weights only")
    where = program.source_location(trip.part)
    if trip.moments and not trip.num_moments_restored:
        return BugPresent(
            f"none of the {trip.moments} tensors that the optimizer remembered came back", where
        )
    if trip.schedules != trip.schedules_back:
        return BugPresent(
            f"the schedule was at step {trip.schedules[0]} and came back at "
            f"{trip.schedules_back[0]}",
            where,
        )
    return BugAbsent(f"{trip.num_moments_restored} tensors of the optimizer came back")


def _while_imported(program: Program) -> CheckResult | None:
    loads = program.loads
    if not program.optimizers:
        return None
    into_model = loads is not None and any(x.into is program.model for x in loads.networks)
    checkpoints = [*(loads.files if loads else []), program.parts.get("checkpoint")]
    states = [s for value in checkpoints for s in optimizer_states(value)]
    if not states or not (into_model or (loads and loads.files)):
        return None
    if all(o.state for o in program.optimizers):
        return BugAbsent("the optimizer has the state of the checkpoint")
    return BugPresent(
        f"the checkpoint holds an optimizer's state of {len(states[0]['state'])} weights, and the "
        "optimizer knows nothing",
        program.source_location("optimizer"),
    )


BUG = Bug(name_of(__name__), look, "load the states of optimizer, schedule and scaler as well")
