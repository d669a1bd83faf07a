"""Time training steps: how long the real network takes with each execution.

A step on a real batch is timed, with a learning rate of zero: the weights are not moved.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import torch

from descend.machine import Execution
from descend.training.execution.backends import PRUNE_RATIO, describe_execution
from descend.training.loss import make_loss_fn
from descend.training.optimizers import make_optimizers
from descend.training.precision import autocast_precision
from descend.training.step_inputs import StepInputs

PROBE_TOKENS = 1024
"""Tokens in a probing step: enough to keep all cores busy, few enough to be quick."""

PILOT_TOKENS = 256
"""Tokens in a step that only shows whether more threads are of no use: beside a busy program each
of their steps may take seconds."""

PROBE_REPEATS = 2

GPU_PROBE_SECONDS = 0.05
"""Least time that steps on a GPU are timed for: one takes a few milliseconds, and is uneven."""

MAX_TUNING_FRACTION = 0.25
"""Of the time that training is thought to take: once trying took so long, no further execution is
tried. The executions of one device differ by about as much, so that more could not be earned
back."""


class TuningResult(msgspec.Struct, frozen=True):
    """The execution chosen, what each one tried took, and what an update of the weights adds."""

    execution: Execution
    seconds_per_token: dict[str, float]
    """Forward and backward, by the name of the execution."""
    seconds_per_update: float
    timed_under_load: bool = False
    """Other programs kept the cores busy while it was tried."""
    truncated_tuning_seconds: float = 0.0
    """Seconds that trying took where it was ended early; 0: all executions were tried."""

    def seconds(self, tokens_per_step: int, steps: int) -> float:
        """Return the time that `steps` will take, validation and saving left out.

        That processes wait for each other and exchange gradients is not counted.
        """
        per_token = self.seconds_per_token[describe_execution(self.execution)]
        per_token /= self.execution.processes
        return steps * (tokens_per_step * per_token + self.seconds_per_update)


def time_candidates(
    executions: list[Execution],
    inputs: StepInputs,
    steps: int = 0,
) -> TuningResult:
    """Return the fastest of `executions`; no more of them than a run of `steps` can earn back."""
    best = executions[0]
    timed: dict[Execution, float] = {}
    updates: dict[Execution, float] = {}
    _warm_up_device(best.device)
    began = time.perf_counter()
    spent = 0.0
    for execution in executions:
        limit = timed[best] * PRUNE_RATIO if timed else float("inf")
        timed[execution], updates[execution] = _time_or_pass(execution, inputs, limit)
        if timed[execution] < timed[best]:
            best = execution
        known = {describe_execution(w): s for w, s in timed.items() if s < float("inf")}
        result = TuningResult(best, known, updates[best])
        if not known:
            continue
        trying = time.perf_counter() - began
        allowed = MAX_TUNING_FRACTION * result.seconds(inputs.batches.tokens_per_step, steps)
        if steps and trying > allowed and execution is not executions[-1]:
            spent = trying
            break
    if not known:
        raise torch.OutOfMemoryError("in every way")
    return msgspec.structs.replace(result, truncated_tuning_seconds=spent)


def _time_or_pass(execution: Execution, inputs: StepInputs, limit: float) -> tuple[float, float]:
    """Return `time_training_step`; on a GPU with the whole batch, as its time does not follow the
    tokens, and infinite for an execution that its memory is too small for."""
    if execution.device == "cpu":
        return time_training_step(execution, inputs, limit)
    try:
        # A GPU's first step is slow whatever the execution, and so tells nothing.
        return time_whole_batch(execution, inputs)
    except torch.OutOfMemoryError:
        return float("inf"), float("inf")


def time_whole_batch(execution: Execution, inputs: StepInputs) -> tuple[float, float]:
    """Return `time_training_step` with as many sequences as go through the network together."""
    min_seconds = 0.0 if execution.device == "cpu" else GPU_PROBE_SECONDS
    return time_training_step(
        execution,
        inputs,
        float("inf"),
        sequences=inputs.config.micro_batch_size,
        min_seconds=min_seconds,
    )


def time_training_step(
    execution: Execution, inputs: StepInputs, limit: float,
    sequences: int = 0, clock: Callable[[], float] = time.perf_counter, min_seconds: float = 0.0,
) -> tuple[float, float]:  # fmt: skip
    """Return seconds per token of forward and backward, and seconds of an update: the fastest of a
    few after one to warm up; only that one if it took more than `limit` a token.

    Each of the few is one step, or the mean of as many as take `min_seconds` seconds by `clock`.
    """
    torch.manual_seed(0)
    torch.set_num_threads(execution.threads)
    model = inputs.reset_model(execution)
    optimizers = make_optimizers(model, inputs.config, execution)
    sequences = sequences or max(
        1, min(inputs.config.micro_batch_size, PROBE_TOKENS // inputs.config.seq_len)
    )
    compute = make_loss_fn(execution)
    batch = torch.from_numpy(inputs.batches.batch(0)[:sequences]).to(execution.device)
    steps, updates = [], []
    for _ in range(PROBE_REPEATS + 1):
        count, forward, update = 0, 0.0, 0.0
        while count == 0 or forward + update < min_seconds:
            began = clock()
            with autocast_precision(execution):
                loss, _ = compute(model, batch[:, :-1], batch[:, 1:], inputs.config.label_smoothing)
            loss.backward()  # type: ignore[no-untyped-call]
            _wait_for(execution.device)
            between = clock()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            _wait_for(execution.device)
            count, forward, update = (
                count + 1, forward + between - began, update + clock() - between
            )  # fmt: skip
        steps.append(forward / (count * sequences * inputs.config.seq_len))
        updates.append(update / count)
        if steps[0] > limit:
            break
    return min(steps[1:] or steps), min(updates[1:] or updates)


def _warm_up_device(device: str) -> None:
    """Have a GPU load what its first product takes seconds for, whoever is the first to ask."""
    if device != "cpu":
        matrix = torch.zeros(8, 8, device=device)
        matrix @ matrix
        _wait_for(device)


def _wait_for(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def _with_fewer_threads(execution: Execution) -> list[Execution]:
    """Return `execution` as it is, and on fewer threads: each step waits for the slowest of them,
    so with one core taken by another program all but one thread may wait for the last one's
    turn."""
    counts = dict.fromkeys((execution.threads // 2, execution.threads - 1, execution.threads))
    # The fewest first: where they are enough, more of them are of no use, and seen to be so sooner.
    return [msgspec.structs.replace(execution, threads=n) for n in counts if n >= 1]


def try_threads(execution: Execution, inputs: StepInputs) -> TuningResult:
    """Return `execution` on as many threads as are quickest beside what else the cores do now."""
    min_threads_execution, *more = _with_fewer_threads(execution)
    best = time_candidates([min_threads_execution], inputs)
    few = max(1, min(inputs.config.micro_batch_size, PILOT_TOKENS // inputs.config.seq_len))
    limit = PRUNE_RATIO * best.seconds_per_token[describe_execution(min_threads_execution)]
    for other in more:
        pilot_seconds, _ = time_training_step(other, inputs, limit, sequences=few)
        if pilot_seconds < limit:
            candidate = time_candidates([other], inputs)
            known = best.seconds_per_token | candidate.seconds_per_token
            best = min(best, candidate, key=lambda c: known[describe_execution(c.execution)])
            best = msgspec.structs.replace(best, seconds_per_token=known)
    return best


def time_under_load(
    executions: list[Execution], by_threads: TuningResult, inputs: StepInputs, steps: int,
) -> TuningResult:  # fmt: skip
    """Return the best of `executions` on as many threads as were best for the first of them."""
    threads = by_threads.execution.threads
    executions = [msgspec.structs.replace(execution, threads=threads) for execution in executions]
    tuned = time_candidates(executions, inputs, steps)
    known = by_threads.seconds_per_token | tuned.seconds_per_token
    return msgspec.structs.replace(tuned, seconds_per_token=known)


def with_all_threads(choice: TuningResult, by_threads: TuningResult, threads: int) -> TuningResult:
    """Return `choice` on all `threads`, as it is remembered: how many are best is tried again each
    time. Of executions that were not timed on all of them, the time of the one that was is
    taken."""
    execution = msgspec.structs.replace(choice.execution, threads=threads)
    own = by_threads.seconds_per_token
    on_all = describe_execution(msgspec.structs.replace(by_threads.execution, threads=threads))
    full = own.get(on_all, min(own.values()))  # where so many threads were of no use
    known = {describe_execution(execution): full} | choice.seconds_per_token
    return msgspec.structs.replace(choice, execution=execution, seconds_per_token=known)
