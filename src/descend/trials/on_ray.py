"""Arms on the machines of a Ray cluster, where `RAY_ADDRESS` names one.

Each arm is a task with one processor core, or with a GPU where it computes on one; which machine
takes it is Ray's business. A task trains as a local worker does, so that its outcome is the same.
Ray itself is imported only here, and only when it is needed.
"""

from __future__ import annotations

import asyncio
import os
import platform
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from descend.errors import ConfigError, DescendError, MissingExtraError
from descend.machine import pick_device
from descend.text.corpus import find_corpus
from descend.trials.arms import Arm, Outcome
from descend.trials.workers import Message, error_of

VARIABLE = "RAY_ADDRESS"
"""The variable by which every tool of Ray finds its cluster: `host:port`, `ray://host:port`, `auto`
for the one that runs on this machine, `local` for one of its own."""

PATIENCE = 5.0
"""Seconds in which a cluster must answer. Ray itself (2.60) tries an address where nobody is for
more than three minutes."""

RETRIES = 1
"""Times that Ray begins an arm again whose machine was lost; a second loss is told."""

LISTENING = 3.0
"""Seconds between two questions how far the arms are, of which each says it about as often."""

HERE_ALONE = f"unset {VARIABLE} to train on this machine alone"


def cluster() -> str | None:
    """The address of the cluster to train on; None: this machine alone."""
    return os.environ.get(VARIABLE) or None


def slots(devices: set[str]) -> int:
    """Arms that the cluster can train at a time on `devices`, as configurations name them.

    `ConfigError` where it cannot train any.
    """
    kind = "GPU" if any(_on_gpu(device) for device in devices) else "CPU"
    found = int(_connected().cluster_resources().get(kind, 0))
    if not found:
        raise ConfigError(
            VARIABLE, f"{cluster()}, a cluster without any {kind}", f"one with a {kind}",
            f"choose another device, or {HERE_ALONE}",
        )  # fmt: skip
    return found


def run_on_ray(
    arms: Mapping[str, Arm],
    most: int | None,
    done: Callable[[str, Outcome], None],
    moved: Callable[[str, float], None],
) -> None:
    """Carry `arms` out on the cluster, at `most` so many at a time; `done` is called here, with
    each as it comes, and `moved` on the way.

    Raises the first error met, and cancels the others; so does Ctrl-C.
    """
    slots({arm.config["device"] for arm in arms.values()})  # or an error, where Ray would wait
    ray = _connected()
    task, ear = ray.remote(_carry_out), _ear()
    waiting = list(arms.items())
    running: dict[Any, str] = {}
    heard = ear.heard.remote()
    try:
        while waiting or running:
            while waiting and len(running) < (most or len(arms)):
                key, arm = waiting.pop(0)
                running[_begin(task, _to_send(arm), ear, key)] = key
            ready, _ = ray.wait([*running, heard])
            for one in ready:
                if one == heard:
                    for key, share in ray.get(heard).items():
                        if key in running.values():
                            moved(key, share)
                    heard = ear.heard.remote()
                    continue
                key = running.pop(one)
                message = msgspec.json.decode(ray.get(one), type=Message)
                if message.outcome is None:
                    raise error_of(message.fault)
                done(key, msgspec.structs.replace(message.outcome, key=key))
    except (ray.exceptions.RayError, ImportError) as problem:  # the latter where descend is not
        raise DescendError(
            VARIABLE, f"a run that {cluster()} gave up ({_last_line(problem)})",
            "machines with the same descend and enough memory",
            f"see docs/machines.md for what they need, or {HERE_ALONE}",
        ) from None  # fmt: skip
    finally:
        for one in running:
            ray.cancel(one, force=True)


def _ear() -> Any:
    """It costs no core, and is begun again where its machine is lost."""
    import ray

    return ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Ear).remote()


class _Ear:
    """Where tasks say how far they are: a process of the cluster."""

    def __init__(self) -> None:
        self.shares: dict[str, float] = {}

    async def moved(self, key: str, share: float) -> None:
        self.shares[key] = share

    async def heard(self) -> dict[str, float]:
        """What was said within the next few seconds."""
        await asyncio.sleep(LISTENING)
        new, self.shares = self.shares, {}
        return new


def _begin(task: Any, arm: Arm, ear: Any, name: str) -> Any:
    gpus = 1 if _on_gpu(arm.config["device"]) else 0
    placed = task.options(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)
    return placed.remote(msgspec.json.encode(arm), arm.key, ear, name)


def _on_gpu(device: str) -> bool:
    return pick_device(device).startswith("cuda")


def _to_send(arm: Arm) -> Arm:
    """`arm` as any machine understands it: paths whole, the device decided. Of several GPUs Ray
    shows a task the one that it may use."""
    source = find_corpus(arm.config["corpus_dir"])
    config = dict(arm.config)
    if source.embedded is None:
        config["corpus_dir"] = _whole(config["corpus_dir"])
    if config.get("vocab_path"):
        config["vocab_path"] = _whole(config["vocab_path"])
    config["device"] = "cuda" if _on_gpu(config["device"]) else pick_device(config["device"])
    parent = arm.parent and _whole(arm.parent)
    return msgspec.structs.replace(arm, config=config, parent=parent)


def _whole(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _carry_out(line: bytes, key: str, ear: Any, name: str) -> bytes:
    """What a machine of the cluster does: train the arm of `line`, which must be that of `key`
    there as well; returns a `Message`. `ear` is told how far it is, by its `name`."""
    from descend.trials.worker import carried_out

    arm = msgspec.json.decode(line, type=Arm)

    def as_here() -> None:
        if arm.key != key:
            raise ConfigError(
                "the text", f"another one, or another version of torch or descend ({_versions()})",
                "the same as on the machine that asks",
                "share its folder or copy it with its times (rsync -a), and install the same "
                "versions",
            )  # fmt: skip

    def moved(share: float) -> None:
        ear.moved.remote(name, share)

    message = carried_out(arm, None, moved, as_here)
    fault = message.fault
    if fault is not None and fault.facts is not None:
        place, *others = fault.facts
        facts = (f"{place}, on {socket.gethostname()}", *others)
        message = Message(fault=msgspec.structs.replace(fault, facts=facts))
    return msgspec.json.encode(message)


def _versions() -> str:
    import torch

    from descend.version import __version__

    return f"torch {torch.__version__}, descend {__version__}, Python {platform.python_version()}"


def _connected() -> Any:
    """Ray, connected to the cluster; it stays so until this process ends.

    `MissingExtraError` without Ray, `ConfigError` where no cluster answers.
    """
    address = cluster()
    try:
        import ray
    except ImportError:
        raise MissingExtraError(
            VARIABLE, f"{address}, but no Ray in this Python", "the extra ray",
            f"install it: pip install 'descend[ray]', or {HERE_ALONE}",
        ) from None  # fmt: skip
    if ray.is_initialized():
        return ray
    try:
        _knock(address or "")
        # descend sends nothing anywhere: a cluster that it starts itself does not either.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(log_to_driver=False, logging_level="error")
    except Exception as problem:  # Ray has no type for it: ConnectionError, ValueError, Runtime…
        raise ConfigError(
            VARIABLE, f"{address}, where no cluster answers ({_last_line(problem)})",
            "the address of a Ray cluster that runs, auto or local",
            f"start one (ray start --head), or {HERE_ALONE}",
        ) from None  # fmt: skip
    return ray


def _knock(address: str) -> None:
    """`OSError` where nobody listens at `address`, if it names a machine."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()


def _last_line(problem: BaseException) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return (lines[-1] if lines else type(problem).__name__).rstrip(".")
