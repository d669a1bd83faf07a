"""How to compute on this machine, decided by trying: the choice is one line in the log.

A step of the real network on a real batch is timed in each candidate way (`ways`), for two or three
seconds in all at the guide's size; the weights are not moved. What was forced by the configuration
is not tried against anything else. Compiling takes seconds by itself, so where it is left open it
is tried only if the run is long enough to earn them.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import torch

from descend.config import RunConfig
from descend.data.batches import BatchSampler
from descend.data.cache_dir import cache_dir
from descend.errors import ConfigError, DescendError
from descend.machine import RETUNE_AFTER_SECONDS, Execution, count_active_cores
from descend.model.initialization import initialize
from descend.model.shape import ModelShape
from descend.model.transformer import Transformer
from descend.training.execution.backends import (
    PRUNE_RATIO,
    candidate_backends,
    describe_execution,
    resolve_training_device,
)
from descend.training.execution.precision import autocast_precision
from descend.training.loss import can_compile, make_loss_fn
from descend.training.memory import translate_memory_errors
from descend.training.optimizers import make_optimizers
from descend.training.process_settings import restore_process_state

_FORMAT = 5

PROBE_TOKENS = 1024
"""Tokens in a probing step: enough to keep all cores busy, few enough to be quick."""

PILOT_TOKENS = 256
"""Tokens in a step that only shows whether more threads are hopeless: beside a busy program each
of their steps may take seconds."""

PROBE_REPEATS = 2

GPU_PROBE_SECONDS = 0.05
"""Least time that steps on a GPU are timed for: one takes a few milliseconds, and is uneven."""

CONTENTION_CORES = 0.5
"""Cores at work for others from which a thread more may cost more than it brings."""

NUM_LOAD_SAMPLES, BETWEEN_WATCHES = 3, 0.3
"""Looks at the other programs, and seconds between them, all of which must find a core busy: fewer
threads are chosen for a whole run, not for the moment in which some program starts or ends."""

MAX_TUNING_FRACTION = 0.25
"""Of the time that training is thought to take: once trying took so long, no further way is tried.
The ways of one device differ by about as much, so that more could not be earned back."""

COMPILE_SECONDS = 20.0
"""What compiling the guide's network for the first time takes on two cores, at worst."""

LOADED_MACHINE_FACTOR = 5.0
"""How much longer compiling takes beside other programs: it runs many small processes."""

CACHED_COMPILE_SECONDS = 6.0
"""The same when the compiled code is still in the cache."""

EXPECTED_COMPILE_SPEEDUP = 0.25
"""Share of the time that compiling is thought to save before it was tried."""


class TuningResult(msgspec.Struct, frozen=True):
    """The way chosen, what each way tried took, and what an update of the weights adds."""

    execution: Execution
    seconds_per_token: dict[str, float]
    """Forward and backward, by the name of the way."""
    seconds_per_update: float
    timed_under_load: bool = False
    """Other programs kept the cores busy while it was tried."""
    truncated_tuning_seconds: float = 0.0
    """Seconds that trying took where it was ended early; 0: all ways were tried."""

    def seconds(self, tokens_per_step: int, steps: int) -> float:
        """Time that `steps` will take, validation and saving left out."""
        per_token = self.seconds_per_token[describe_execution(self.execution)]
        return steps * (tokens_per_step * per_token + self.seconds_per_update)


@restore_process_state()
def autotune_execution(
    config: RunConfig, shape: ModelShape, batches: BatchSampler, steps: int = 0,
    seconds: float = float("inf"),
) -> TuningResult:  # fmt: skip
    """Time the candidate ways on this machine and take the fastest; remembered in the cache.

    A run that may take `seconds` makes no more steps than fit into them.
    `steps` is how long the run will be (0: as long as can be): what costs a start must be earned
    back in them. `ConfigError` for a way that is forced and is not here.
    """
    device = resolve_training_device(config)
    executions = list(candidate_backends(config, device))
    decided_by = (_FORMAT, shape, executions, config.optimizer, config.seq_len, config.batch_size,
                  config.dropout_rate, config.token_dropout, config.activation_checkpointing,
                  config.gradient_accumulation_steps, config.label_smoothing,
                  config.compile, config.threads)  # fmt: skip
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
        by_threads = _try_threads(known or executions[0], config, shape, batches)
        if choice is None:
            choice = _time_under_load(executions, by_threads, config, shape, batches, steps)
            _remember(file, _at_rest(choice, by_threads, executions[0].threads), is_contended)
        else:
            choice = by_threads
        file = file.with_stem(f"{key}-{choice.execution.threads}")
    elif choice is None:
        choice = _time_candidates(executions, config, shape, batches, steps)
        _remember(file, choice, is_contended)
    steps = _steps_within(choice, batches, steps, seconds)
    if device == "mps" or config.activation_checkpointing or config.compile == "off":
        return choice
    return _maybe_compile(choice, file, config, shape, batches, steps, is_contended)


def _maybe_compile(
    choice: TuningResult, file: Path, config: RunConfig, shape: ModelShape, batches: BatchSampler,
    steps: int, is_contended: bool,
) -> TuningResult:  # fmt: skip
    """`choice`, or the same compiled, if that is forced or a run of `steps` earns the seconds that
    it costs. What was tried is among its times either way."""
    tokens, is_automatic = batches.tokens_per_step, config.compile == "auto"
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
        tried = _try_compiled(execution, config, shape, batches)
        # Where it failed the reason may be mended: that is not remembered for long.
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


def _try_compiled(
    execution: Execution, config: RunConfig, shape: ModelShape, batches: BatchSampler
) -> TuningResult:
    """How fast `way` is, and unless it is forced the same not compiled, both with as many sequences
    as in training; no times where this machine cannot compile: training does not need it.
    `ConfigError` if compiling is forced."""
    plainly = msgspec.structs.replace(execution, compiled=False)
    times = {}
    try:
        with translate_memory_errors(config, shape):
            times[describe_execution(execution)], per_update = _time_whole_batch(
                execution, config, shape, batches
            )
            if config.compile == "auto":  # else there is nothing to compare
                times[describe_execution(plainly)], _ = _time_whole_batch(
                    plainly, config, shape, batches
                )
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
    """The choice in `file`; one made beside busy programs while there are some, or `SOON` after."""
    with suppress(OSError, msgspec.DecodeError):
        choice = msgspec.json.decode(file.read_bytes(), type=TuningResult)
        soon = abs(time.time() - file.stat().st_mtime) < RETUNE_AFTER_SECONDS
        return choice if is_contended or soon or not choice.timed_under_load else None
    return None


def _remember(file: Path, choice: TuningResult, is_contended: bool) -> None:
    """Keep `choice` in `file`, so that the same run computes in the same way next time."""
    choice = msgspec.structs.replace(choice, timed_under_load=is_contended)
    with suppress(OSError):  # not remembered, it is tried again next time
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_suffix(f".{os.getpid()}")
        aside.write_bytes(msgspec.json.encode(choice))
        aside.replace(file)


def _has_contention() -> bool:
    """Whether other programs keep a core busy, and go on doing so."""
    for watch in range(NUM_LOAD_SAMPLES):
        if watch:
            time.sleep(BETWEEN_WATCHES)
        if count_active_cores() <= CONTENTION_CORES:
            return False
    return True


def _with_fewer_threads(execution: Execution) -> list[Execution]:
    """`way` as it is, and on fewer threads: each step waits for the slowest of them, so with one
    core taken by another program all but one thread may wait for the last one's turn."""
    counts = dict.fromkeys((execution.threads // 2, execution.threads - 1, execution.threads))
    # The fewest first: where they are enough, more of them are hopeless, and seen to be so sooner.
    return [msgspec.structs.replace(execution, threads=n) for n in counts if n >= 1]


def _try_threads(
    execution: Execution, config: RunConfig, shape: ModelShape, batches: BatchSampler
) -> TuningResult:
    """`way` on as many threads as are quickest beside what else the cores do now."""
    min_threads_execution, *more = _with_fewer_threads(execution)
    best = _time_candidates([min_threads_execution], config, shape, batches)
    few = max(1, min(config.micro_batch_size, PILOT_TOKENS // config.seq_len))
    limit = PRUNE_RATIO * best.seconds_per_token[describe_execution(min_threads_execution)]
    for other in more:
        pilot_seconds, _ = time_training_step(other, config, shape, batches, limit, sequences=few)
        if pilot_seconds < limit:
            candidate = _time_candidates([other], config, shape, batches)
            known = best.seconds_per_token | candidate.seconds_per_token
            best = min(best, candidate, key=lambda c: known[describe_execution(c.execution)])
            best = msgspec.structs.replace(best, seconds_per_token=known)
    return best


def _time_under_load(
    executions: list[Execution], by_threads: TuningResult, config: RunConfig, shape: ModelShape,
    batches: BatchSampler, steps: int,
) -> TuningResult:  # fmt: skip
    """The best of `ways` on as many threads as were best for the first of them."""
    threads = by_threads.execution.threads
    executions = [msgspec.structs.replace(execution, threads=threads) for execution in executions]
    tuned = _time_candidates(executions, config, shape, batches, steps)
    known = by_threads.seconds_per_token | tuned.seconds_per_token
    return msgspec.structs.replace(tuned, seconds_per_token=known)


def _at_rest(choice: TuningResult, by_threads: TuningResult, threads: int) -> TuningResult:
    """`choice` on all `threads`, as it is remembered: how many are best is tried again each time.
    Of ways that were not timed on all of them, the time of the one that was is taken."""
    execution = msgspec.structs.replace(choice.execution, threads=threads)
    own = by_threads.seconds_per_token
    on_all = describe_execution(msgspec.structs.replace(by_threads.execution, threads=threads))
    full = own.get(on_all, min(own.values()))  # where so many threads were hopeless
    known = {describe_execution(execution): full} | choice.seconds_per_token
    return msgspec.structs.replace(choice, execution=execution, seconds_per_token=known)


def _steps_within(choice: TuningResult, batches: BatchSampler, steps: int, seconds: float) -> int:
    """`steps`, or as many as fit into `seconds`; at least one."""
    if seconds == float("inf"):
        return steps
    fitting = max(1, int(seconds / max(choice.seconds(batches.tokens_per_step, 1), 1e-9)))
    return min(steps, fitting) if steps else fitting


def _should_tune_further(choice: TuningResult, batches: BatchSampler, steps: int) -> bool:
    """Whether a run of `steps` is long enough to try more than `choice` was tried among."""
    allowed = MAX_TUNING_FRACTION * choice.seconds(batches.tokens_per_step, steps)
    return steps == 0 or allowed > choice.truncated_tuning_seconds


def _time_candidates(
    executions: list[Execution],
    config: RunConfig,
    shape: ModelShape,
    batches: BatchSampler,
    steps: int = 0,
) -> TuningResult:
    """The fastest of `ways`; no more of them than a run of `steps` can earn back."""
    best = executions[0]
    timed: dict[Execution, float] = {}
    updates: dict[Execution, float] = {}
    _warm_up_device(best.device)
    began = time.perf_counter()
    spent = 0.0
    for execution in executions:
        limit = timed[best] * PRUNE_RATIO if timed else float("inf")
        timed[execution], updates[execution] = _time_or_pass(
            execution, config, shape, batches, limit
        )
        if timed[execution] < timed[best]:
            best = execution
        known = {describe_execution(w): s for w, s in timed.items() if s < float("inf")}
        result = TuningResult(best, known, updates[best])
        if not known:
            continue
        trying = time.perf_counter() - began
        allowed = MAX_TUNING_FRACTION * result.seconds(batches.tokens_per_step, steps)
        if steps and trying > allowed and execution is not executions[-1]:
            spent = trying
            break
    if not known:
        raise torch.OutOfMemoryError("in every way")
    return msgspec.structs.replace(result, truncated_tuning_seconds=spent)


def _time_or_pass(
    execution: Execution, config: RunConfig, shape: ModelShape, batches: BatchSampler, limit: float
) -> tuple[float, float]:
    """`time_step`; on a GPU with the whole batch, as its time does not follow the tokens, and
    infinite for a way that its memory is too small for."""
    if execution.device == "cpu":
        return time_training_step(execution, config, shape, batches, limit)
    try:
        # A GPU's first step is slow whatever the way, and so tells nothing.
        return _time_whole_batch(execution, config, shape, batches)
    except torch.OutOfMemoryError:
        return float("inf"), float("inf")


def _time_whole_batch(
    execution: Execution, config: RunConfig, shape: ModelShape, batches: BatchSampler
) -> tuple[float, float]:
    """`time_step` with as many sequences as go through the network together."""
    min_seconds = 0.0 if execution.device == "cpu" else GPU_PROBE_SECONDS
    return time_training_step(
        execution,
        config,
        shape,
        batches,
        float("inf"),
        sequences=config.micro_batch_size,
        min_seconds=min_seconds,
    )


def time_training_step(
    execution: Execution, config: RunConfig, shape: ModelShape, batches: BatchSampler, limit: float,
    sequences: int = 0, clock: Callable[[], float] = time.perf_counter, min_seconds: float = 0.0,
) -> tuple[float, float]:  # fmt: skip
    """Seconds per token of forward and backward, and seconds of an update: the fastest of a few
    after one to warm up; only that one if it took more than `limit` a token.

    Each of the few is one step, or the mean of as many as take `least` seconds by `clock`.
    """
    torch.manual_seed(0)
    torch.set_num_threads(execution.threads)
    model = _network(execution, config, shape)
    optimizers = make_optimizers(model, config, execution)
    sequences = sequences or max(1, min(config.micro_batch_size, PROBE_TOKENS // config.seq_len))
    compute = make_loss_fn(execution)
    batch = torch.from_numpy(batches.batch(0)[:sequences]).to(execution.device)
    steps, updates = [], []
    for _ in range(PROBE_REPEATS + 1):
        count, forward, update = 0, 0.0, 0.0
        while count == 0 or forward + update < min_seconds:
            began = clock()
            with autocast_precision(execution):
                loss, _ = compute(model, batch[:, :-1], batch[:, 1:], config.label_smoothing)
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
        steps.append(forward / (count * sequences * config.seq_len))
        updates.append(update / count)
        if steps[0] > limit:
            break
    return min(steps[1:] or steps), min(updates[1:] or updates)


def _network(execution: Execution, config: RunConfig, shape: ModelShape) -> Transformer:
    """The network to time, with the weights that training would start from.

    torch's own first weights make probabilities of gpt's tied head so small that a processor leaves
    its quick arithmetic for them: a step took twelve times what it does in training.
    """
    model = Transformer(shape, config.dropout_rate, execution.attention)
    initialize(model, config.seed)
    model.checkpoint_activations = config.activation_checkpointing
    model.token_dropout = config.token_dropout or 0.0
    return model.to(execution.device)


def _warm_up_device(device: str) -> None:
    """Have a GPU load what its first product takes seconds for, whoever is the first to ask."""
    if device != "cpu":
        matrix = torch.zeros(8, 8, device=device)
        matrix @ matrix
        _wait_for(device)


def _wait_for(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
