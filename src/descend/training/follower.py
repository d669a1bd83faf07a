"""A process that trains for another one: it computes its rows of each batch and writes nothing.

`descend train --processes N` starts N - 1 of them with `python -m descend.training.follower`.
torchrun starts them with the command of rank 0.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import torch.distributed as dist

from descend.config import make_config
from descend.data.tokenizer import parse_tokenizer
from descend.errors import DescendError, DivergedError, ProcessLostError
from descend.launch_environment import RANK, read_launch_environment
from descend.training.assembly import RunAssembly, restore_assembly, tokenize_corpus
from descend.training.rendezvous import (
    DESCRIPTION,
    PROBLEM,
    READY,
    RunDescription,
    connect,
    join_group,
    receive_state,
    share_work,
    wait_until,
)
from descend.training.resumption import check_tokens
from descend.training.run_writer import RunWriter, ShardWriter
from descend.training.sharded_state import shard_state
from descend.training.stop_signals import TrainingInterrupted
from descend.training.trainer import train_and_save
from descend.training.training_run import (
    TrainingRun,
    initial_train_state,
    make_train_plan,
)


def follow_run() -> Path:
    """Train along with rank 0 until its run ends; returns the folder of the run.

    A problem of this process is sent to rank 0, which prints it.
    """
    launch = read_launch_environment()
    assert launch is not None
    store = connect(launch)
    parent = os.getppid()
    wait_until(lambda: store.check([DESCRIPTION]), lambda: os.getppid() == parent)
    if not store.check([DESCRIPTION]):
        raise ProcessLostError(
            "rank 0", "a process that ended", "a run to train along with", "start all of them again"
        )
    description = msgspec.msgpack.decode(store.get(DESCRIPTION), type=RunDescription)
    try:
        assembly = _rebuild_assembly(description)
        state = initial_train_state(assembly, assembly.execution, has_weights=False)
    except Exception as problem:
        store.set(PROBLEM, f"process {launch.rank}: {problem}")
        raise
    store.set(f"{READY}/{launch.rank}", "")
    device = assembly.execution.device
    with join_group(store, launch.rank, launch.world_size, device) as group:
        if assembly.execution.sharded:
            shard_state(state, assembly.config, assembly.execution, group)
        else:
            receive_state(state, group)
        plan = make_train_plan(
            assembly, resumed=state, continued=description.info.parent is not None
        )
        if plan.time_limit and description.clock:
            plan.time_limit.follow(description.clock, description.seconds_before)
        run = TrainingRun(
            Path(description.folder), description.info, assembly.shape, assembly.store, plan,
            state, None, description.previous_epochs, (),
        )  # fmt: skip
        _train_along(share_work(run, group))
    return run.folder


def _train_along(run: TrainingRun) -> None:
    with suppress(DivergedError, TrainingInterrupted):  # which rank 0 meets too, and tells
        writer = ShardWriter(run.state) if run.state.shards else RunWriter()
        for _ in train_and_save(run, writer):
            pass
    # Rank 0 still saves the model. A process that ended before would look like a lost one.
    with suppress(RuntimeError):
        dist.barrier()


def _rebuild_assembly(description: RunDescription) -> RunAssembly:
    """Build what rank 0 has: from the text on this machine, which must be the same."""
    config = make_config(description.info.resolved_config)
    store = tokenize_corpus(config, parse_tokenizer(description.tokenizer, "rank 0"))
    check_tokens(Path(description.folder), description.info, store)
    return restore_assembly(description.info, store, description.shape, description.execution)


def main() -> int:
    """Follow a run; returns the exit code."""
    try:
        follow_run()
    except KeyboardInterrupt:  # which rank 0 received too
        return 1
    except DescendError as problem:
        print(f"process {os.environ.get(RANK)}: {problem}", file=sys.stderr)
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
