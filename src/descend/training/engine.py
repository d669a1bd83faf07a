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
from descend.errors import ConfigError, DescendError
from descend.machine import SOON, Execution, busy_cores
from descend.model.initialize import initialize
from descend.model.shape import ModelShape
from descend.model.transformer import Transformer
from descend.text.batches import BatchPlan
from descend.text.cache import cache_dir
from descend.training.memory import memory_errors
from descend.training.objective import can_compile, objective_for
from descend.training.optimizer import make_optimizers
from descend.training.precision import compute_in
from descend.training.process import process_kept
from descend.training.ways import HOPELESS, candidates, device_for, name_of

_FORMAT = 5

PROBE_TOKENS = 1024
"""Tokens in a probing step: enough to keep all cores busy, few enough to be quick."""

TASTE_TOKENS = 256
"""Tokens in a step that only shows whether more threads are hopeless: beside a busy program each
of their steps may take seconds."""

PROBE_REPEATS = 2

GPU_PROBE_SECONDS = 0.05
"""Least time that steps on a GPU are timed for: one takes a few milliseconds, and is uneven."""

BUSY_CORES = 0.5
"""Cores at work for others from which a thread more may cost more than it brings."""

WATCHES, BETWEEN_WATCHES = 3, 0.3
"""Looks at the other programs, and seconds between them, all of which must find a core busy: fewer
threads are chosen for a whole run, not for the moment in which some program starts or ends."""

TRYING_SHARE = 0.25
"""Of the time that training is thought to take: once trying took so long, no further way is tried.
The ways of one device differ by about as much, so that more could not be earned back."""

COMPILE_SECONDS = 20.0
"""What compiling the guide's network for the first time takes on two cores, at worst."""

BUSY_FACTOR = 5.0
"""How much longer compiling takes beside other programs: it runs many small processes."""

COMPILE_AGAIN_SECONDS = 6.0
"""The same when the compiled code is still in the cache."""

HOPED_SAVING = 0.25
"""Share of the time that compiling is thought to save before it was tried."""


class Choice(msgspec.Struct, frozen=True):
    """The way chosen, what each way tried took, and what an update of the weights adds."""

    execution: Execution
    seconds_per_token: dict[str, float]
    """Forward and backward, by the name of the way."""
    seconds_per_update: float
    disturbed: bool = False
    """Other programs kept the cores busy while it was tried."""
    spent: float = 0.0
    """Seconds that trying took where it was ended early; 0: all ways were tried."""

    def seconds(self, tokens_per_step: int, steps: int) -> float:
        """Time that `steps` will take, validation and saving left out."""
        per_token = self.seconds_per_token[name_of(self.execution)]
        return steps * (tokens_per_step * per_token + self.seconds_per_update)


@process_kept()
def choose_execution(
    config: RunConfig, shape: ModelShape, batches: BatchPlan, steps: int = 0,
    seconds: float = float("inf"),
) -> Choice:  # fmt: skip
    """Time the candidate ways on this machine and take the fastest; remembered in the cache.

    A run that may take `seconds` makes no more steps than fit into them.
    `steps` is how long the run will be (0: as long as can be): what costs a start must be earned
    back in them. `ConfigError` for a way that is forced and is not here.
    """
    device = device_for(config)
    ways = list(candidates(config, device))
    decided_by = (_FORMAT, shape, ways, config.optimizer, config.seq_len, config.batch_size,
                  config.dropout_rate, config.blank_rate, config.activation_checkpointing,
                  config.gradient_accumulation, config.label_smoothing,
                  config.compile, config.threads)  # fmt: skip
    key = hashlib.sha256(repr(decided_by).encode()).hexdigest()[:24]
    file = cache_dir() / "engine" / f"{key}.json"
    busy = device == "cpu" and _stays_busy()
    choice = _remembered(file, busy)
    if choice is not None and choice.spent and _worth_more(choice, batches, steps):
        choice = None  # what was not tried for a short run is tried for a longer one
    if busy and config.threads is None:
        # What a browser does to us this minute is no fact of the machine: not remembered.
        known = None if choice is None else choice.execution
        by_threads = _try_threads(known or ways[0], config, shape, batches)
        if choice is None:
            choice = _try_beside_others(ways, by_threads, config, shape, batches, steps)
            _remember(file, _at_rest(choice, by_threads, ways[0].threads), busy)
        else:
            choice = by_threads
        file = file.with_stem(f"{key}-{choice.execution.threads}")
    elif choice is None:
        choice = _try_all(ways, config, shape, batches, steps)
        _remember(file, choice, busy)
    steps = _steps_within(choice, batches, steps, seconds)
    if device == "mps" or config.activation_checkpointing or config.compile == "off":
        return choice
    return _perhaps_compiled(choice, file, config, shape, batches, steps, busy)


def _perhaps_compiled(
    choice: Choice, file: Path, config: RunConfig, shape: ModelShape, batches: BatchPlan,
    steps: int, busy: bool,
) -> Choice:  # fmt: skip
    """`choice`, or the same compiled, if that is forced or a run of `steps` earns the seconds that
    it costs. What was tried is among its times either way."""
    tokens, left_open = batches.tokens_per_step, config.compile == "auto"
    way = msgspec.structs.replace(choice.execution, compiled=True)
    if left_open and not can_compile(way.device):
        return choice
    replayed = "-replayed" if way.replayed else ""
    file = file.with_stem(f"{file.stem}-{way.precision}-{way.attention}{replayed}-compiled")
    tried = _remembered(file, busy)
    if not left_open and tried is not None and name_of(way) not in tried.seconds_per_token:
        tried = None  # whoever forces it is to hear why it fails
    paid = 0.0 if tried is None else COMPILE_AGAIN_SECONDS
    if tried is None:
        cost = COMPILE_SECONDS * (BUSY_FACTOR if busy else 1)
        if left_open and choice.seconds(tokens, steps) * HOPED_SAVING < cost:
            return choice
        tried = _try_compiled(way, config, shape, batches)
        # Where it failed the reason may be mended: that is not remembered for long.
        _remember(file, tried, busy or name_of(way) not in tried.seconds_per_token)
    known = choice.seconds_per_token | tried.seconds_per_token
    choice = msgspec.structs.replace(choice, seconds_per_token=known)
    compiled = msgspec.structs.replace(choice, execution=way)
    if not left_open:
        return compiled
    works = name_of(way) in known
    earned = works and compiled.seconds(tokens, steps) + paid < choice.seconds(tokens, steps)
    return compiled if earned else choice


def _try_compiled(
    way: Execution, config: RunConfig, shape: ModelShape, batches: BatchPlan
) -> Choice:
    """How fast `way` is, and unless it is forced the same not compiled, both with as many sequences
    as in training; no times where this machine cannot compile: training does not need it.
    `ConfigError` if compiling is forced."""
    plainly = msgspec.structs.replace(way, compiled=False)
    times = {}
    try:
        with memory_errors(config, shape):
            times[name_of(way)], per_update = _time_whole_batch(way, config, shape, batches)
            if config.compile == "auto":  # else there is nothing to compare
                times[name_of(plainly)], _ = _time_whole_batch(plainly, config, shape, batches)
    except Exception as problem:  # torch has no class of its own for what a compiler may say
        if config.compile == "auto":
            return Choice(plainly, {}, 0.0)
        if isinstance(problem, DescendError):
            raise
        raise ConfigError(
            "compile", f"on where compiling fails ({type(problem).__name__})",
            "a C++ compiler that torch can use", "set compile to auto",
        ) from problem  # fmt: skip
    return Choice(way, times, per_update)


def _remembered(file: Path, busy: bool) -> Choice | None:
    """The choice in `file`; one made beside busy programs while there are some, or `SOON` after."""
    with suppress(OSError, msgspec.DecodeError):
        choice = msgspec.json.decode(file.read_bytes(), type=Choice)
        soon = abs(time.time() - file.stat().st_mtime) < SOON
        return choice if busy or soon or not choice.disturbed else None
    return None


def _remember(file: Path, choice: Choice, busy: bool) -> None:
    """Keep `choice` in `file`, so that the same run computes in the same way next time."""
    choice = msgspec.structs.replace(choice, disturbed=busy)
    with suppress(OSError):  # not remembered, it is tried again next time
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_suffix(f".{os.getpid()}")
        aside.write_bytes(msgspec.json.encode(choice))
        aside.replace(file)


def _stays_busy() -> bool:
    """Whether other programs keep a core busy, and go on doing so."""
    for watch in range(WATCHES):
        if watch:
            time.sleep(BETWEEN_WATCHES)
        if busy_cores() <= BUSY_CORES:
            return False
    return True


def _with_fewer_threads(way: Execution) -> list[Execution]:
    """`way` as it is, and on fewer threads: each step waits for the slowest of them, so with one
    core taken by another program all but one thread may wait for the last one's turn."""
    counts = dict.fromkeys((way.threads // 2, way.threads - 1, way.threads))
    # The fewest first: where they are enough, more of them are hopeless, and seen to be so sooner.
    return [msgspec.structs.replace(way, threads=n) for n in counts if n >= 1]


def _try_threads(
    way: Execution, config: RunConfig, shape: ModelShape, batches: BatchPlan
) -> Choice:
    """`way` on as many threads as are quickest beside what else the cores do now."""
    fewest, *more = _with_fewer_threads(way)
    best = _try_all([fewest], config, shape, batches)
    few = max(1, min(config.sequences_at_once, TASTE_TOKENS // config.seq_len))
    limit = HOPELESS * best.seconds_per_token[name_of(fewest)]
    for other in more:
        taste, _ = time_step(other, config, shape, batches, limit, sequences=few)
        if taste < limit:
            found = _try_all([other], config, shape, batches)
            known = best.seconds_per_token | found.seconds_per_token
            best = min(best, found, key=lambda c: known[name_of(c.execution)])
            best = msgspec.structs.replace(best, seconds_per_token=known)
    return best


def _try_beside_others(
    ways: list[Execution], by_threads: Choice, config: RunConfig, shape: ModelShape,
    batches: BatchPlan, steps: int,
) -> Choice:  # fmt: skip
    """The best of `ways` on as many threads as were best for the first of them."""
    threads = by_threads.execution.threads
    ways = [msgspec.structs.replace(way, threads=threads) for way in ways]
    found = _try_all(ways, config, shape, batches, steps)
    known = by_threads.seconds_per_token | found.seconds_per_token
    return msgspec.structs.replace(found, seconds_per_token=known)


def _at_rest(choice: Choice, by_threads: Choice, threads: int) -> Choice:
    """`choice` on all `threads`, as it is remembered: how many are best is tried again each time.
    Of ways that were not timed on all of them, the time of the one that was is taken."""
    way = msgspec.structs.replace(choice.execution, threads=threads)
    own = by_threads.seconds_per_token
    on_all = name_of(msgspec.structs.replace(by_threads.execution, threads=threads))
    full = own.get(on_all, min(own.values()))  # where so many threads were hopeless
    known = {name_of(way): full} | choice.seconds_per_token
    return msgspec.structs.replace(choice, execution=way, seconds_per_token=known)


def _steps_within(choice: Choice, batches: BatchPlan, steps: int, seconds: float) -> int:
    """`steps`, or as many as fit into `seconds`; at least one."""
    if seconds == float("inf"):
        return steps
    fitting = max(1, int(seconds / max(choice.seconds(batches.tokens_per_step, 1), 1e-9)))
    return min(steps, fitting) if steps else fitting


def _worth_more(choice: Choice, batches: BatchPlan, steps: int) -> bool:
    """Whether a run of `steps` is long enough to try more than `choice` was tried among."""
    allowed = TRYING_SHARE * choice.seconds(batches.tokens_per_step, steps)
    return steps == 0 or allowed > choice.spent


def _try_all(
    ways: list[Execution], config: RunConfig, shape: ModelShape, batches: BatchPlan, steps: int = 0
) -> Choice:
    """The fastest of `ways`; no more of them than a run of `steps` can earn back."""
    best = ways[0]
    timed: dict[Execution, float] = {}
    updates: dict[Execution, float] = {}
    _wake(best.device)
    began = time.perf_counter()
    spent = 0.0
    for way in ways:
        limit = timed[best] * HOPELESS if timed else float("inf")
        timed[way], updates[way] = _time_or_pass(way, config, shape, batches, limit)
        if timed[way] < timed[best]:
            best = way
        known = {name_of(w): s for w, s in timed.items() if s < float("inf")}
        found = Choice(best, known, updates[best])
        if not known:
            continue
        trying = time.perf_counter() - began
        allowed = TRYING_SHARE * found.seconds(batches.tokens_per_step, steps)
        if steps and trying > allowed and way is not ways[-1]:
            spent = trying
            break
    if not known:
        raise torch.OutOfMemoryError("in every way")
    return msgspec.structs.replace(found, spent=spent)


def _time_or_pass(
    way: Execution, config: RunConfig, shape: ModelShape, batches: BatchPlan, limit: float
) -> tuple[float, float]:
    """`time_step`; on a GPU with the whole batch, as its time does not follow the tokens, and
    infinite for a way that its memory is too small for."""
    if way.device == "cpu":
        return time_step(way, config, shape, batches, limit)
    try:
        # A GPU's first step is slow whatever the way, and so tells nothing.
        return _time_whole_batch(way, config, shape, batches)
    except torch.OutOfMemoryError:
        return float("inf"), float("inf")


def _time_whole_batch(
    way: Execution, config: RunConfig, shape: ModelShape, batches: BatchPlan
) -> tuple[float, float]:
    """`time_step` with as many sequences as go through the network together."""
    least = 0.0 if way.device == "cpu" else GPU_PROBE_SECONDS
    return time_step(
        way, config, shape, batches, float("inf"), sequences=config.sequences_at_once, least=least
    )


def time_step(
    way: Execution, config: RunConfig, shape: ModelShape, batches: BatchPlan, limit: float,
    sequences: int = 0, clock: Callable[[], float] = time.perf_counter, least: float = 0.0,
) -> tuple[float, float]:  # fmt: skip
    """Seconds per token of forward and backward, and seconds of an update: the fastest of a few
    after one to warm up; only that one if it took more than `limit` a token.

    Each of the few is one step, or the mean of as many as take `least` seconds by `clock`.
    """
    torch.manual_seed(0)
    torch.set_num_threads(way.threads)
    model = _network(way, config, shape)
    optimizers = make_optimizers(model, config, way)
    sequences = sequences or max(1, min(config.sequences_at_once, PROBE_TOKENS // config.seq_len))
    compute = objective_for(way)
    batch = torch.from_numpy(batches.batch(0)[:sequences]).to(way.device)
    steps, updates = [], []
    for _ in range(PROBE_REPEATS + 1):
        count, forward, update = 0, 0.0, 0.0
        while count == 0 or forward + update < least:
            began = clock()
            with compute_in(way):
                loss, _ = compute(model, batch[:, :-1], batch[:, 1:], config.label_smoothing)
            loss.backward()  # type: ignore[no-untyped-call]
            _wait_for(way.device)
            between = clock()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            _wait_for(way.device)
            count, forward, update = (
                count + 1, forward + between - began, update + clock() - between
            )  # fmt: skip
        steps.append(forward / (count * sequences * config.seq_len))
        updates.append(update / count)
        if steps[0] > limit:
            break
    return min(steps[1:] or steps), min(updates[1:] or updates)


def _network(way: Execution, config: RunConfig, shape: ModelShape) -> Transformer:
    """The network to time, with the weights that training would start from.

    torch's own first weights make probabilities of gpt's tied head so small that a processor leaves
    its quick arithmetic for them: a step took twelve times what it does in training.
    """
    model = Transformer(shape, config.dropout_rate, way.attention)
    initialize(model, config.seed)
    model.checkpoint_activations = config.activation_checkpointing
    model.blank_rate = config.blank_rate or 0.0
    return model.to(way.device)


def _wake(device: str) -> None:
    """Have a GPU load what its first product takes seconds for, whoever is the first to ask."""
    if device != "cpu":
        matrix = torch.zeros(8, 8, device=device)
        matrix @ matrix
        _wait_for(device)


def _wait_for(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
