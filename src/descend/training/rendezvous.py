"""How the processes of a run find each other: those of torchrun, or new ones on this machine.

Rank 0 prepares a run as if it were alone. Then it describes the run to the others, which build the
same, and receive its state. New processes meet in a folder of this machine and exchange gradients
over the loopback interface, so no port is opened to the network.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import torch
import torch.distributed as dist
from torch.distributed import FileStore, PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from descend.errors import ConfigError, ProcessLostError
from descend.launch_environment import (
    LOCAL_RANK,
    LOCAL_WORLD_SIZE,
    RANK,
    WORLD_SIZE,
    LaunchEnvironment,
    read_launch_environment,
)
from descend.machine import Execution
from descend.model.shape import ModelShape
from descend.runs.events import Epoch
from descend.runs.run_files import RunMetadata
from descend.training.checkpoint import decode_state, encode_state
from descend.training.muon import Muon
from descend.training.process_group import (
    ProcessGroup,
    share_orthogonalization,
    translate_lost_processes,
)
from descend.training.sharded_state import shard_state
from descend.training.train_state import ClockState, TrainState
from descend.training.training_run import TrainingRun

MEETING_FOLDER = "_DESCEND_MEETING_FOLDER"
"""Environment variable: where the processes of one machine meet."""

TIMEOUT = timedelta(hours=1)
"""How long a process waits for another in one exchange; one that ended is noticed at once."""

POLL_SECONDS = 0.05

STOP_SECONDS = 10.0
"""How long a process may take to end before it is killed."""

DESCRIPTION, PROBLEM, READY = "run", "problem", "ready"
"""Keys of what the processes tell each other before they train."""


class RunDescription(msgspec.Struct, frozen=True):
    """What other processes need to know of a run, besides its state."""

    folder: str
    info: RunMetadata
    execution: Execution
    shape: ModelShape
    tokenizer: bytes
    previous_epochs: tuple[Epoch, ...]
    clock: ClockState | None
    """Of a run with `minutes`, at its start."""
    seconds_before: float
    """Seconds of training before an interruption."""


@contextmanager
def lead_processes(run: TrainingRun) -> Iterator[TrainingRun]:
    """Return `run` as that of rank 0, once all its processes hold the same state."""
    count = run.plan.execution.processes
    if count == 1:
        yield run
        return
    with ExitStack() as stack:
        launch = read_launch_environment()
        if launch is None:
            store, children = stack.enter_context(_start_processes(count))
        else:
            store, children = connect(launch), ()
        # The stub wants str; the store takes bytes, and follower.py reads them.
        store.set(DESCRIPTION, msgspec.msgpack.encode(_describe(run)))  # type: ignore[arg-type]
        _wait_until_ready(store, count, children)
        group = stack.enter_context(join_group(store, 0, count, run.plan.execution.device))
        if run.plan.execution.sharded:
            point = run.resume_point
            shard_state(
                run.state, run.plan.config, run.plan.execution, group,
                point.checkpoint if point else None,
            )  # fmt: skip
        else:
            send_state(run.state, group)
        yield share_work(run, group)


def share_work(run: TrainingRun, group: ProcessGroup) -> TrainingRun:
    """Return `run` as one process of `group` trains it: by the clock of rank 0."""
    if run.plan.time_limit:
        run.plan.time_limit.share = group.share
    for optimizer in run.state.optimizers:
        if isinstance(optimizer, Muon) and not run.state.shards:
            optimizer.orthogonal = share_orthogonalization(optimizer.orthogonal, group)
    return replace(run, plan=replace(run.plan, group=group))


def send_state(state: TrainState, group: ProcessGroup) -> None:
    """Send `state` of rank 0 to the others, as the files of a checkpoint; an empty name ends it."""
    with translate_lost_processes(group):
        for name, content in encode_state(state):
            group.broadcast_bytes(name.encode())
            group.broadcast_bytes(content)
        group.broadcast_bytes(b"")


def receive_state(state: TrainState, group: ProcessGroup) -> None:
    """Fill `state` with that of rank 0."""
    files = {}
    while name := group.broadcast_bytes(b"").decode():
        files[name] = group.broadcast_bytes(b"")
    decode_state(files.get, state)


def _describe(run: TrainingRun) -> RunDescription:
    limit = run.plan.time_limit
    return RunDescription(
        folder=str(run.folder),
        info=msgspec.structs.replace(
            run.info, resolved_config=run.plan.config.model_dump(mode="json")
        ),
        execution=run.plan.execution,
        shape=run.shape,
        tokenizer=run.store.tokenizer.to_bytes(),
        previous_epochs=run.previous_epochs,
        clock=limit.state() if limit else None,
        seconds_before=limit.seconds_before if limit else 0.0,
    )


def connect(launch: LaunchEnvironment) -> Store:
    """Return the store in which the processes of `launch` meet.

    Raises `ConfigError` where the address is missing or its port is in use.
    """
    folder = os.environ.get(MEETING_FOLDER)
    if folder:
        file_store: Store = FileStore(str(Path(folder) / "store"), launch.world_size)
        return file_store
    address = ":".join(os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT"))
    expected, fix = "HOST:PORT of rank 0, with a free port", "set both as torchrun does"
    if not all(address.split(":", 1)):
        raise ConfigError("MASTER_ADDR:MASTER_PORT", address, expected, fix)
    try:
        store, _, _ = next(rendezvous("env://", launch.rank, launch.world_size, timeout=TIMEOUT))
    except (dist.DistError, ValueError, RuntimeError) as problem:
        used = "EADDRINUSE" in str(problem)
        raise ConfigError(
            "MASTER_ADDR:MASTER_PORT",
            f"{address}, {'which another program uses' if used else 'where nobody answers'}",
            expected, "choose another port" if used else fix,
        ) from None  # fmt: skip
    # torchrun keeps its store through a restart: what was said before must not be heard again.
    return PrefixStore(f"attempt_{launch.num_restarts}", store)


@contextmanager
def join_group(store: Store, rank: int, world_size: int, device: str) -> Iterator[ProcessGroup]:
    """Within it, this process is one of a group: gloo for the CPU, NCCL for graphics cards."""
    backend = "gloo"
    launch = read_launch_environment()
    if device == "cuda":
        torch.cuda.set_device(launch.local_rank if launch else rank)
        backend = "cpu:gloo,cuda:nccl"
    if dist.is_initialized():
        raise ConfigError(
            "num_processes", "a process group that the program made", "none yet",
            "call torch.distributed.destroy_process_group() before",
        )  # fmt: skip
    dist.init_process_group(
        backend, store=PrefixStore("descend", store), rank=rank, world_size=world_size,
        timeout=TIMEOUT,
    )  # fmt: skip
    try:
        yield ProcessGroup(rank, world_size)
    finally:
        with suppress(RuntimeError):  # the others may be gone
            dist.destroy_process_group()


@contextmanager
def _start_processes(
    count: int,
) -> Iterator[tuple[Store, Sequence[subprocess.Popen[bytes]]]]:
    """Start the other processes of a run on this machine; none outlives the block."""
    children: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="descend-") as folder:
        shared = {MEETING_FOLDER: folder, WORLD_SIZE: str(count), LOCAL_WORLD_SIZE: str(count),
                  "PYTHONPATH": os.pathsep.join(sys.path)}  # fmt: skip
        store = FileStore(str(Path(folder) / "store"), count)
        try:
            with _loopback_only():
                for rank in range(1, count):
                    environment = os.environ | shared | {RANK: str(rank), LOCAL_RANK: str(rank)}
                    command = [sys.executable, "-P", "-m", "descend.training.follower"]
                    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)
                    children.append(child)
                yield store, children
        finally:
            _stop(children)


@contextmanager
def _loopback_only() -> Iterator[None]:
    """Have gloo listen on the loopback interface only, unless the user chose another."""
    name = "GLOO_SOCKET_IFNAME"
    chosen = os.environ.get(name)
    if chosen is None and sys.platform.startswith("linux"):
        os.environ[name] = "lo"
    try:
        yield
    finally:
        if chosen is None:
            os.environ.pop(name, None)


def _stop(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """End `children`, who have nothing left to do: rank 0 holds all that they computed."""
    ends = time.monotonic() + STOP_SECONDS
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(max(0.0, ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _wait_until_ready(
    store: Store, count: int, children: Sequence[subprocess.Popen[bytes]]
) -> None:
    """Wait until the other processes have prepared the run too.

    Raises `ProcessLostError` with the problem of the first that could not.
    """
    ready = [f"{READY}/{rank}" for rank in range(1, count)]

    def is_done() -> bool:
        return bool(store.check(ready) or store.check([PROBLEM]))

    wait_until(is_done, lambda: all(child.poll() is None for child in children))
    if store.check([PROBLEM]):
        raise ProcessLostError(
            "processes", f"one that stopped ({store.get(PROBLEM).decode()})",
            f"{count} processes that prepare the same run",
            "correct that, or train with one process",
        )  # fmt: skip
    if not store.check(ready):
        raise ProcessLostError(
            "processes", "one that ended before the first step", f"{count} processes",
            "train with fewer processes; each needs memory for the whole model",
        )  # fmt: skip


def wait_until(is_done: Callable[[], bool], is_alive: Callable[[], bool]) -> None:
    """Wait until `is_done`, or nobody is left who could bring it about."""
    while not is_done() and is_alive():
        time.sleep(POLL_SECONDS)
