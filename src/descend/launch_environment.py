"""What torchrun tells each process that it starts, read from the environment.

torchrun, `srun` with a job script, and `descend train --processes` all set these variables; see
"Environment variable initialization" in the documentation of torch.distributed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from descend.errors import ConfigError

RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE",
)  # fmt: skip
RESTARTS, MAX_RESTARTS = "TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_MAX_RESTARTS"

TRAINING_VERBS = ("train", "continue", "resume")
"""Commands that several processes can work on together."""


class LaunchEnvironment(NamedTuple):
    """One of the processes that train one model together."""

    rank: int
    world_size: int
    local_rank: int
    """Number of this process among those of its machine."""
    local_world_size: int
    """Processes on this machine."""
    num_restarts: int
    """Times that torchrun started all processes again after one was lost."""
    max_restarts: int


def read_launch_environment(
    environment: Mapping[str, str] | None = None,
) -> LaunchEnvironment | None:
    """Return what a launcher set; None for a process that was started alone.

    Raises `ConfigError` for a variable that is missing, no number, or does not fit the others.
    """
    variables = os.environ if environment is None else environment
    world_size = _number(variables, WORLD_SIZE, 1, default=1)
    if world_size == 1:
        return None
    rank = _number(variables, RANK, 0, below=world_size)
    local_world_size = _number(variables, LOCAL_WORLD_SIZE, 1, default=world_size)
    local_rank = _number(
        variables, LOCAL_RANK, 0, default=rank % local_world_size, below=local_world_size
    )
    return LaunchEnvironment(
        rank, world_size, local_rank, local_world_size,
        _number(variables, RESTARTS, 0, default=0), _number(variables, MAX_RESTARTS, 0, default=0),
    )  # fmt: skip


def check_verb(verb: str) -> None:
    """Raise `ConfigError` for a command that several processes cannot share."""
    is_launched = RANK in os.environ and read_launch_environment() is not None
    if is_launched and verb not in (*TRAINING_VERBS, "") and not verb.startswith("-"):
        raise ConfigError(
            "torchrun", f"descend {verb}",
            " or ".join(f"descend {name}" for name in TRAINING_VERBS),
            "start other commands without torchrun",
        )  # fmt: skip


def is_follower() -> bool:
    """Return whether this process works for the one of rank 0, which alone writes and prints."""
    launch = read_launch_environment()
    return launch is not None and launch.rank > 0


def _number(
    variables: Mapping[str, str], name: str, low: int, default: int | None = None,
    below: int | None = None,
) -> int:  # fmt: skip
    """Return the whole number in variable `name`, from `low` on and `below` a limit."""
    text = variables.get(name, "" if default is None else str(default))
    if text.isdecimal() and int(text) >= low and (below is None or int(text) < below):
        return int(text)
    limit = "" if below is None else f", below {below}"
    raise ConfigError(
        name, repr(text) if text else "nothing", f"a whole number from {low} on{limit}",
        "start the processes with `torchrun --nproc-per-node N -m descend train`",
    )  # fmt: skip
