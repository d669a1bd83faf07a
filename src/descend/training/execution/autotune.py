"""How to compute on this machine, decided by trying: the choice is one line in the log.

A step of the real network on a real batch is timed with each candidate (`executions`), for two or
three seconds in all at the guide's size; the weights are not moved. What was forced by the
configuration is not tried against anything else. Compiling takes seconds by itself, so where it is
left open it is tried only if the run is long enough to earn them.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from descend.data.batches import BatchSampler
from descend.data.cache_dir import cache_dir
from descend.errors import ConfigError, DescendError
from descend.machine import RETUNE_AFTER_SECONDS, Execution, count_active_cores
from descend.runs.cached_record import read_cached, write_cached
from descend.training.execution.backends import (
    candidate_backends,
    describe_execution,
    resolve_training_device,
)
from descend.training.execution.candidate_timing import (
    MAX_TUNING_FRACTION,
    TuningResult,
    time_candidates,
    time_under_load,
    time_whole_batch,
    try_threads,
    with_all_threads,
)
from descend.training.loss import can_compile
from descend.training.memory import needed_main_memory, translate_memory_errors
from descend.training.process_settings import restore_process_state
from descend.training.step_inputs import StepInputs

_FORMAT = 5

CONTENTION_CORES = 0.5
"""Cores at work for others from which a thread more may cost more than it brings."""

NUM_LOAD_SAMPLES, BETWEEN_WATCHES = 3, 0.3
"""Looks at the other programs, and seconds between them, all of which must find a core busy: fewer
threads are chosen for a whole run, not for the moment in which some program starts or ends."""

COMPILE_SECONDS = 30.0
"""What compiling the guide's network for the first time takes on two cores
(benchmarks/results/speed/amx/compiling.txt)."""

LOADED_MACHINE_FACTOR = 5.0
"""How much longer compiling takes beside other programs: it runs many small processes."""

CACHED_COMPILE_SECONDS = 6.0
"""The same when the compiled code is still in the cache."""

EXPECTED_COMPILE_SPEEDUP = 0.2
"""Fraction of the time that compiling is thought to save before it was tried. It saved 7 to 24 % of
whole steps of four small networks on two cores."""


def autotune_execution(
    inputs: StepInputs, steps: int = 0, seconds: float = float("inf")
) -> TuningResult:
    """Time the candidate executions on this machine and take the fastest; remembered in
    the cache.

    A run that may take `seconds` makes no more steps than fit into them.
    `steps` is how long the run will be (0: as long as can be): what costs a start must be earned
    back in them. `ConfigError` for an execution that is forced and is not available.
    """
    with restore_process_state(needed_main_memory(inputs.config, inputs.shape)):
        return _autotune(inputs, steps, seconds)


def _autotune(inputs: StepInputs, steps: int, seconds: float) -> TuningResult:
    config, batches = inputs.config, inputs.batches
    device = resolve_training_device(config)
    executions = list(candidate_backends(config, device))
    decided_by = (_FORMAT, inputs.shape, executions, config.optimizer, config.seq_len,
                  config.batch_size, config.dropout_rate, config.token_dropout,
                  config.activation_checkpointing, config.gradient_accumulation_steps,
                  config.label_smoothing, config.compile, config.threads,
                  *((config.lora_rank,) if config.lora_rank else ()))  # fmt: skip
    key = hashlib.sha256(repr(decided_by).encode()).hexdigest()[:24]
    file = cache_dir() / "engine" / f"{key}.json"
    is_contended = device == "cpu" and _has_contention()
    choice = _remembered(file, is_contended)
    if (
        choice is not None
        and choice.truncated_tuning_seconds
        and _should_tune_further(choice, batches, steps)
    ):
        choice = None  # what was not tried for a short run is tried for a longer one
    if is_contended and config.threads is None:
        # What a browser does to us this minute is no fact of the machine: not remembered.
        known = None if choice is None else choice.execution
        by_threads = try_threads(known or executions[0], inputs)
        if choice is None:
            choice = time_under_load(executions, by_threads, inputs, steps)
            _remember(
                file, with_all_threads(choice, by_threads, executions[0].threads), is_contended
            )
        else:
            choice = by_threads
        file = file.with_stem(f"{key}-{choice.execution.threads}")
    elif choice is None:
        choice = time_candidates(executions, inputs, steps)
        _remember(file, choice, is_contended)
    steps = _steps_within(choice, batches, steps, seconds)
    if (
        device == "mps" or config.activation_checkpointing or config.lora_rank
        or config.compile == "off"
    ):  # fmt: skip
        return choice
    return _maybe_compile(choice, file, inputs, steps, is_contended)


def _maybe_compile(
    choice: TuningResult, file: Path, inputs: StepInputs, steps: int, is_contended: bool
) -> TuningResult:
    """Return `choice`, or the same compiled, if that is forced or a run of `steps` earns the
    seconds that it costs. What was tried is among its times either way."""
    tokens, is_automatic = inputs.batches.tokens_per_step, inputs.config.compile == "auto"
    execution = msgspec.structs.replace(choice.execution, compiled=True)
    if is_automatic and not can_compile(execution.device):
        return choice
    graph_suffix = "-cuda-graph" if execution.cuda_graph else ""
    file = file.with_stem(
        f"{file.stem}-{execution.precision}-{execution.attention}{graph_suffix}-compiled"
    )
    tried = _remembered(file, is_contended)
    if (
        not is_automatic
        and tried is not None
        and describe_execution(execution) not in tried.seconds_per_token
    ):
        tried = None  # whoever forces it is to hear why it fails
    paid = 0.0 if tried is None else CACHED_COMPILE_SECONDS
    if tried is None:
        cost = COMPILE_SECONDS * (LOADED_MACHINE_FACTOR if is_contended else 1)
        if is_automatic and choice.seconds(tokens, steps) * EXPECTED_COMPILE_SPEEDUP < cost:
            return choice
        tried = _try_compiled(execution, inputs)
        # Where it failed the reason may be fixed: that is not remembered for long.
        _remember(
            file,
            tried,
            is_contended or describe_execution(execution) not in tried.seconds_per_token,
        )
    known = choice.seconds_per_token | tried.seconds_per_token
    choice = msgspec.structs.replace(choice, seconds_per_token=known)
    compiled = msgspec.structs.replace(choice, execution=execution)
    if not is_automatic:
        return compiled
    works = describe_execution(execution) in known
    earned = works and compiled.seconds(tokens, steps) + paid < choice.seconds(tokens, steps)
    return compiled if earned else choice


def _try_compiled(execution: Execution, inputs: StepInputs) -> TuningResult:
    """Return how fast `execution` is, and unless it is forced the same not compiled, both with as
    many sequences as in training; no times where this machine cannot compile: training does not
    need it. `ConfigError` if compiling is forced."""
    config = inputs.config
    plainly = msgspec.structs.replace(execution, compiled=False)
    times = {}
    try:
        with translate_memory_errors(config, inputs.shape):
            times[describe_execution(execution)], per_update = time_whole_batch(execution, inputs)
            if config.compile == "auto":  # else there is nothing to compare
                times[describe_execution(plainly)], _ = time_whole_batch(plainly, inputs)
    except Exception as problem:  # torch has no class of its own for what a compiler may say
        if config.compile == "auto":
            return TuningResult(plainly, {}, 0.0)
        if isinstance(problem, DescendError):
            raise
        raise ConfigError(
            "compile", f"on where compiling fails ({type(problem).__name__})",
            "a C++ compiler that torch can use", "set compile to auto",
        ) from problem  # fmt: skip
    return TuningResult(execution, times, per_update)


def _remembered(file: Path, is_contended: bool) -> TuningResult | None:
    """Return the choice in `file`; one made beside busy programs while there are some, or
    `RETUNE_AFTER_SECONDS` after."""
    choice = read_cached(file, TuningResult)
    if choice is None or is_contended or not choice.timed_under_load:
        return choice
    with suppress(OSError):
        if abs(time.time() - file.stat().st_mtime) < RETUNE_AFTER_SECONDS:
            return choice
    return None


def _remember(file: Path, choice: TuningResult, is_contended: bool) -> None:
    """Keep `choice` in `file`, so that the same run computes in the same way next time."""
    write_cached(file, msgspec.structs.replace(choice, timed_under_load=is_contended))


def _has_contention() -> bool:
    """Return whether other programs keep a core busy, and go on doing so."""
    for watch in range(NUM_LOAD_SAMPLES):
        if watch:
            time.sleep(BETWEEN_WATCHES)
        if count_active_cores() <= CONTENTION_CORES:
            return False
    return True


def _steps_within(choice: TuningResult, batches: BatchSampler, steps: int, seconds: float) -> int:
    """Return `steps`, or as many as fit into `seconds`; at least one."""
    if seconds == float("inf"):
        return steps
    fitting = max(1, int(seconds / max(choice.seconds(batches.tokens_per_step, 1), 1e-9)))
    return min(steps, fitting) if steps else fitting


def _should_tune_further(choice: TuningResult, batches: BatchSampler, steps: int) -> bool:
    """Return whether a run of `steps` is long enough to try more than `choice` was tried among."""
    allowed = MAX_TUNING_FRACTION * choice.seconds(batches.tokens_per_step, steps)
    return steps == 0 or allowed > choice.truncated_tuning_seconds
