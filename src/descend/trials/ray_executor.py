"""Trials on the machines of a Ray cluster, where `RAY_ADDRESS` names one.

Each trial is a task with one processor core, and with a GPU where it computes on one: a whole one,
or a part where more trials at a time are requested than there are GPUs. Which machine takes it is
Ray's business. A task trains as a local worker does, so that its result is the same.
Ray itself is imported only here, and only when it is needed.
"""

from __future__ import annotations

import asyncio
import math
import os
import platform
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from descend.data.corpus import resolve_corpus
from descend.errors import ConfigError, DescendError, MissingDependencyError
from descend.machine import resolve_device
from descend.trials.trial_spec import TrialResult, TrialSpec
from descend.trials.worker_pool import WorkerMessage, to_exception

RAY_ADDRESS_VARIABLE = "RAY_ADDRESS"
"""The variable by which every tool of Ray finds its cluster: `host:port`, `ray://host:port`, `auto`
for the one that runs on this machine, `local` for one of its own."""

PATIENCE = 5.0
"""Seconds in which a cluster must answer. Ray itself (2.60) tries an address where nobody is for
more than three minutes."""

RETRIES = 1
"""Times that Ray begins a trial again whose machine was lost; a second loss is an error."""

RAY_PRECISION = 10_000
"""Parts into which Ray divides a GPU at most."""

PROGRESS_POLL_SECONDS = 3.0
"""Seconds between two questions how far the trials are, of which each says it about as often."""

USE_LOCAL_HINT = f"unset {RAY_ADDRESS_VARIABLE} to train on this machine alone"


def ray_address() -> str | None:
    """Return the address of the cluster to train on; None: this machine alone."""
    return os.environ.get(RAY_ADDRESS_VARIABLE) or None


def cluster_slots(devices: set[str], requested: int | None = None) -> int:
    """Return how many trials the cluster can train at a time on `devices` of configurations;
    `requested`: where that is more than its GPUs, several share one.

    `ConfigError` where it cannot train any.
    """
    kind = "GPU" if any(_on_gpu(device) for device in devices) else "CPU"
    num_slots = num_units = int(_connected().cluster_resources().get(kind, 0))
    if kind == "GPU" and num_units:
        num_slots *= trials_per_gpu(requested, num_units)
    if not num_units:
        raise ConfigError(
            RAY_ADDRESS_VARIABLE,
            f"{ray_address()}, a cluster without any {kind}",
            f"one with a {kind}",
            f"choose another device, or {USE_LOCAL_HINT}",
        )
    return num_slots


def trials_per_gpu(requested: int | None, num_gpus: int) -> int:
    """Return how many trials share each of `num_gpus` where `requested` at a time are to run; one
    where that is left open, since Ray divides the trials of a GPU, not its memory."""
    return max(1, math.ceil((requested or 0) / num_gpus))


def gpu_fraction(requested: int | None, num_gpus: float) -> float:
    """Return the part of a GPU that each trial asks Ray for; 0 where there is none."""
    if num_gpus < 1:
        return 0.0
    per_gpu = trials_per_gpu(requested, int(num_gpus))
    return math.floor(RAY_PRECISION / per_gpu) / RAY_PRECISION


def run_on_ray(
    specs: Mapping[str, TrialSpec],
    max_running: int | None,
    done: Callable[[str, TrialResult], None],
    on_fraction: Callable[[str, float], None],
) -> None:
    """Carry `specs` out on the cluster, at `max_running` so many at a time; `done` is called here,
    with each as it comes, and `on_fraction` on the way.

    Raises the first error met, and cancels the others; so does Ctrl-C.
    """
    max_running = min(max_running, len(specs)) if max_running else None
    cluster_slots(
        {spec.config["device"] for spec in specs.values()}, max_running
    )  # or an error, where Ray would wait
    ray = _connected()
    gpus = gpu_fraction(max_running, ray.cluster_resources().get("GPU", 0))
    task, progress_actor = ray.remote(_run_remote_trial), _progress_actor()
    waiting = list(specs.items())
    running: dict[Any, str] = {}
    pending_progress = progress_actor.collect_fractions.remote()
    try:
        while waiting or running:
            while waiting and len(running) < (max_running or len(specs)):
                key, spec = waiting.pop(0)
                placed = task.options(
                    num_cpus=1, max_retries=RETRIES,
                    num_gpus=gpus if _on_gpu(spec.config["device"]) else 0,
                )  # fmt: skip
                line = msgspec.json.encode(_portable_spec(spec))
                running[placed.remote(line, spec.key, progress_actor, key)] = key
            ready, _ = ray.wait([*running, pending_progress])
            for one in ready:
                if one == pending_progress:
                    for key, fraction in ray.get(pending_progress).items():
                        if key in running.values():
                            on_fraction(key, fraction)
                    pending_progress = progress_actor.collect_fractions.remote()
                    continue
                key = running.pop(one)
                message = msgspec.json.decode(ray.get(one), type=WorkerMessage)
                if message.result is None:
                    raise to_exception(message.fault)
                done(key, msgspec.structs.replace(message.result, key=key))
    except (ray.exceptions.RayError, ImportError) as problem:  # the latter where descend is not
        raise _cluster_error(problem) from None
    finally:
        for one in running:
            ray.cancel(one, force=True)


def run_tasks(
    function: Callable[[bytes], bytes],
    lines: Sequence[bytes],
    max_running: int | None,
    on_result: Callable[[int, bytes], None],
) -> None:
    """Call `function` on the cluster with each of `lines`; `on_result` is given index and answer.

    A task takes one core, and a GPU where the cluster has any, or a part of one where `max_running`
    is more than these. An error and Ctrl-C cancel all.
    """
    ray = _connected()
    max_running = min(max_running, len(lines)) if max_running else None
    gpus = gpu_fraction(max_running, ray.cluster_resources().get("GPU", 0))
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(function)
    waiting = list(enumerate(lines))
    running: dict[Any, int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < (max_running or len(lines)):
                index, line = waiting.pop(0)
                running[task.remote(line)] = index
            (ready, *_), _ = ray.wait([*running])
            on_result(running.pop(ready), ray.get(ready))
    except (ray.exceptions.RayError, ImportError) as problem:
        raise _cluster_error(problem) from None
    finally:
        for one in running:
            ray.cancel(one)


def _cluster_error(problem: BaseException) -> DescendError:
    return DescendError(
        RAY_ADDRESS_VARIABLE, f"a run that {ray_address()} gave up ({_last_line(problem)})",
        "machines with the same descend and enough memory",
        f"see docs/machines.md for what they need, or {USE_LOCAL_HINT}",
    )  # fmt: skip


def _progress_actor() -> Any:
    """Collect progress; costs no core, and is begun again where its machine is lost."""
    import ray

    return ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_ProgressActor).remote()


class _ProgressActor:
    """Where tasks say how far they are: a process of the cluster."""

    def __init__(self) -> None:
        self.fractions: dict[str, float] = {}

    async def record_fraction(self, key: str, fraction: float) -> None:
        self.fractions[key] = fraction

    async def collect_fractions(self) -> dict[str, float]:
        """Return what was said within the next few seconds."""
        await asyncio.sleep(PROGRESS_POLL_SECONDS)
        new, self.fractions = self.fractions, {}
        return new


def _on_gpu(device: str) -> bool:
    return resolve_device(device).startswith("cuda")


def _portable_spec(spec: TrialSpec) -> TrialSpec:
    """Return `spec` as any machine understands it: paths whole, the device decided. Of several GPUs
    Ray shows a task the one that it may use."""
    source = resolve_corpus(spec.config["corpus_dir"])
    config = dict(spec.config)
    if source.embedded is None:
        config["corpus_dir"] = _whole(config["corpus_dir"])
    if config.get("vocab_path"):
        config["vocab_path"] = _whole(config["vocab_path"])
    config["device"] = "cuda" if _on_gpu(config["device"]) else resolve_device(config["device"])
    parent = spec.parent and _whole(spec.parent)
    return msgspec.structs.replace(spec, config=config, parent=parent)


def _whole(path: str) -> str:
    return str(Path(os.path.expanduser(path)).absolute())


def _run_remote_trial(line: bytes, key: str, progress_actor: Any, name: str) -> bytes:
    """Return what a machine of the cluster does: train the trial of `line`, which must be that of
    `key` there as well. The reply is a `WorkerMessage`; `progress_actor` learns the progress of
    `name`."""
    from descend.trials.worker_main import run_trial_catching_errors

    spec = msgspec.json.decode(line, type=TrialSpec)

    def as_here() -> None:
        if spec.key != key:
            raise ConfigError(
                "the text", f"another one, or another version of torch or descend ({_versions()})",
                "the same as on the machine that asks",
                "share its folder or copy it with its times (rsync -a), and install the same "
                "versions",
            )  # fmt: skip

    def on_fraction(fraction: float) -> None:
        progress_actor.record_fraction.remote(name, fraction)

    message = run_trial_catching_errors(spec, None, on_fraction, as_here)
    fault = message.fault
    if fault is not None and fault.facts is not None:
        location, *others = fault.facts
        facts = (f"{location}, on {socket.gethostname()}", *others)
        message = WorkerMessage(fault=msgspec.structs.replace(fault, facts=facts))
    return msgspec.json.encode(message)


def _versions() -> str:
    import torch

    from descend.version import __version__

    return f"torch {torch.__version__}, descend {__version__}, Python {platform.python_version()}"


def _connected() -> Any:
    """Ray, connected to the cluster; it stays so until this process ends.

    `MissingDependencyError` without Ray, `ConfigError` where no cluster answers.
    """
    address = ray_address()
    try:
        import ray
    except ImportError:
        raise MissingDependencyError(
            RAY_ADDRESS_VARIABLE, f"{address}, but no Ray in this Python", "the extra ray",
            f"install it: pip install 'descend[ray]', or {USE_LOCAL_HINT}",
        ) from None  # fmt: skip
    if ray.is_initialized():
        return ray
    try:
        _check_reachable(address or "")
        # descend sends nothing anywhere: a cluster that it starts itself does not either.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(log_to_driver=False, logging_level="error")
    except Exception as problem:  # Ray has no type for it: ConnectionError, ValueError, Runtime…
        raise ConfigError(
            RAY_ADDRESS_VARIABLE, f"{address}, where no cluster answers ({_last_line(problem)})",
            "the address of a Ray cluster that runs, auto or local",
            f"start one (ray start --head), or {USE_LOCAL_HINT}",
        ) from None  # fmt: skip
    return ray


def _check_reachable(address: str) -> None:
    """Raise `OSError` where nobody listens at `address`, if it names a machine."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()


def _last_line(problem: BaseException) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return (lines[-1] if lines else type(problem).__name__).rstrip(".")
