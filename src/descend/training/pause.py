"""A pause between two steps: the process waits, with all that it has in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

from descend.runs.events import Event, TrainingStarted, TrainingStopped, current_time
from descend.training.running_clock import leave_out_of_clock
from descend.training.stop_signals import StopRequest
from descend.training.training_run import TrainingRun

LOOK_SECONDS = 0.2
"""Between two looks at whether a paused run may go on."""


def wait_while_paused(
    run: TrainingRun, is_requested: Callable[[], bool], stop_request: StopRequest
) -> Generator[Event, None, int | None]:
    """Wait until the pause is no longer requested, or a signal stops the run. Return the signal.

    All processes of the run wait together. The time does not count for `minutes`.
    """
    state, group = run.state, run.plan.group
    yield TrainingStopped(state.step, "paused", current_time())
    began = time.perf_counter()
    while True:
        stop, pauses = group.agree_on_stop(stop_request.signal_number, is_requested())
        if not pauses:
            break
        time.sleep(LOOK_SECONDS)
    leave_out_of_clock(time.perf_counter() - began)
    yield TrainingStarted(
        state.step, current_time(), num_rollbacks=state.rollback_state.num_rollbacks
    )
    return stop
