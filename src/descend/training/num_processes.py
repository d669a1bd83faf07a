"""How many processes share each batch of a run, and what must fit for it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import torch

from descend.config import RunConfig
from descend.errors import ConfigError
from descend.launch_environment import read_launch_environment
from descend.machine import Execution, resolve_device
from descend.runs.checkpoint_folders import latest_checkpoint


def choose_num_processes(config: RunConfig) -> int:
    """Return how many processes train `config`: those of torchrun, or as it says.

    Raises `ConfigError` where the two differ, where a batch cannot be divided evenly, and where
    the device cannot be shared.
    """
    launch = read_launch_environment()
    count = launch.world_size if launch else config.num_processes or 1
    if launch and config.num_processes not in (None, count):
        raise ConfigError(
            "num_processes", str(config.num_processes),
            f"{count}, the number of processes that were started",
            "leave num_processes out, or start as many processes",
        )  # fmt: skip
    if config.batch_size % count:
        below = config.batch_size // count * count
        fitting = [str(size) for size in (below, below + count) if size]
        raise ConfigError(
            "batch_size", str(config.batch_size), f"a multiple of the {count} processes",
            f"set batch_size to {' or '.join(fitting)}, or choose another number of processes",
        )  # fmt: skip
    if count > 1:
        _check_device(config, launch.local_world_size if launch else count)
    if config.num_micro_batches > config.batch_size // count:
        raise ConfigError(
            "gradient_accumulation_steps", str(config.num_micro_batches),
            f"at most the {config.batch_size // count} sequences of each process",
            "lower it or raise batch_size",
        )  # fmt: skip
    return count


def _check_device(config: RunConfig, local_world_size: int) -> None:
    """Raise `ConfigError` where this machine has no device for each of its processes."""
    device = resolve_device(config.device)
    if device == "mps" or ":" in device:
        raise ConfigError("device", f"{device} for several processes", "cpu, cuda or auto",
                          "set device to cpu or auto")  # fmt: skip
    if device == "cuda" and local_world_size > torch.cuda.device_count():
        raise ConfigError(
            "num_processes", f"{local_world_size} on this machine",
            f"at most one for each of its {torch.cuda.device_count()} GPUs",
            "start fewer processes, or set device to cpu",
        )  # fmt: skip


def find_lost_run(save_dir: str | None) -> Path | None:
    """Return the run in `save_dir` that a restart by torchrun takes up; None at the first start.

    Raises `ConfigError` where torchrun may restart and would not find the run again.
    """
    launch = read_launch_environment()
    if launch is None or not launch.max_restarts:
        return None
    if save_dir is None:
        raise ConfigError(
            "save_dir", "none, with --max-restarts of torchrun",
            "a folder in which a restart finds the run", "set save_dir",
        )  # fmt: skip
    folder = Path(save_dir)
    return folder if launch.num_restarts and latest_checkpoint(folder) else None


def local_world_size(config: RunConfig) -> int:
    """Return how many processes of a run share the memory of this machine."""
    launch = read_launch_environment()
    return launch.local_world_size if launch else config.num_processes or 1


def divide_threads(threads: int, num_processes: int) -> int:
    """Return the threads of each process, of the `threads` that torch has in this one.

    torchrun sets those of each process itself (`OMP_NUM_THREADS`).
    """
    launch = read_launch_environment()
    if launch and "OMP_NUM_THREADS" in os.environ:
        return threads
    return max(1, threads // (launch.local_world_size if launch else num_processes))


def choose_num_processes_again(
    config: RunConfig, execution: Execution, requested: int | None
) -> int:
    """Return how many processes resume a run of `config`, which trained as `execution`.

    `requested`: what the user asks for now. Raises `ConfigError` as `choose_num_processes` does.
    """
    launch = read_launch_environment()
    started = launch.world_size if launch else execution.processes
    count = started if requested is None else requested
    return choose_num_processes(config.model_copy(update={"num_processes": count}))


def divide_execution(execution: Execution, num_processes: int) -> Execution:
    """Return `execution` for another number of processes: they divide its threads again."""
    if num_processes == execution.processes:
        return execution
    threads = execution.threads * execution.processes // num_processes
    return msgspec.structs.replace(
        execution, processes=num_processes, threads=max(1, threads),
        cuda_graph=execution.cuda_graph and num_processes == 1,
        sharded=execution.sharded and num_processes > 1,
    )  # fmt: skip
