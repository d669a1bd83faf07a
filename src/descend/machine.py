"""Facts of this machine, and `Execution`: how a run computes, fixed before its first step."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from descend.errors import ConfigError

CONTROL_GROUPS = Path("/sys/fs/cgroup")


class Execution(msgspec.Struct, frozen=True):
    """All that changes the bits of a result without changing what is computed.

    Chosen once, stored in run.json of the run folder and taken again on resume: another choice
    rounds differently, and the resumed run would not be the same to the last bit.
    """

    device: str
    precision: Literal["float32", "bfloat16", "float16"]
    attention: Literal["matmul", "fused"]
    threads: int
    torch: str
    processor: str
    compiled: bool = False
    """Whether the network is compiled for this machine and these sizes."""
    cuda_graph: bool = False
    """Whether what a step has the GPU do is recorded once and replayed (a CUDA graph)."""
    processes: int = 1
    """Processes that compute each step together; `threads` are those of one of them."""
    sharded: bool = False
    """Whether each process holds a part of the weights only (FSDP2)."""
    instructions: str = ""
    """Instruction set that torch's kernels use, as AVX2 or AVX512; empty in runs of an older
    descend. `ATEN_CPU_CAPABILITY` changes it on the same processor."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for a CUDA graph on another device, as a changed run.json may say."""
        if self.cuda_graph and not self.device.startswith("cuda"):
            raise ValueError(f"cuda_graph is true on the device {self.device}")


def available_cores() -> int:
    """Return the processor cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


LOAD_SAMPLE_SECONDS = 0.1
"""How long the processor's counters are watched: ten ticks of the usual clock."""


RETUNE_AFTER_SECONDS = 600.0
"""Seconds for which a timing stands even if other programs disturbed it: all runs of a series that
begins now have the same one, and compute alike to the last bit."""


def count_active_cores() -> float:
    """Return how many cores other programs keep at work just now; those of low priority (nice)
    left out.

    Under Linux's autogroups (most desktops) the priority counts only within a terminal, so there
    nice programs count. Where the system keeps no such counters: the load of the last
    minute, which lags behind.
    """
    before = _core_times()
    if before is None:
        return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    time.sleep(LOAD_SAMPLE_SECONDS)
    return _at_work(before, _core_times() or before)


def _at_work(before: tuple[int, int], after: tuple[int, int]) -> float:
    """Return how many cores worked between two looks at `_core_times`."""
    worked, passed = after[0] - before[0], after[1] - before[1]
    return worked / passed * (os.cpu_count() or 1) if passed else 0.0


LOAD_SAMPLE_TTL_SECONDS = 5.0
"""Seconds since a look at the counters within which what they counted since then is of now."""


class _LoadSample(NamedTuple):
    """The counters at a moment, and what they said then."""

    at: float
    times: tuple[int, int]
    """As of `_core_times`."""
    own: float
    """Processor seconds of this process so far."""
    num_idle: int


_looks: list[_LoadSample] = []
"""The last look, if any: text is written in many short pieces; a watch before each would cost as
much."""


def count_idle_cores() -> int:
    """Cores that no other program keeps at work just now; at least one.

    Called again within `LOAD_SAMPLE_TTL_SECONDS` seconds it does not watch, but counts what others
    did since then.
    """
    now, times, own = time.monotonic(), _core_times(), _own_time()
    last = _looks[-1] if _looks else None
    if times is None or last is None or now - last.at > LOAD_SAMPLE_TTL_SECONDS:
        num_active = count_active_cores()
    elif now - last.at < LOAD_SAMPLE_SECONDS or times[1] <= last.times[1]:
        return last.num_idle
    else:
        num_active = max(0.0, _at_work(last.times, times) - (own - last.own) / (now - last.at))
    num_idle = max(1, available_cores() - round(num_active))
    if times is not None:
        _looks[:] = [_LoadSample(time.monotonic(), _core_times() or times, _own_time(), num_idle)]
    return num_idle


def _own_time() -> float:
    """Return the processor seconds of this process, as far as `_core_times` counts them."""
    nice = hasattr(os, "nice") and os.nice(0) > 0
    return 0.0 if nice and not _autogroups() else time.process_time()


def contention_factor(processes: int) -> float:
    """Return the time of `processes` of one thread each beside other programs, over their time on
    an idle machine, if the cores are shared evenly; at least 1."""
    return max(1.0, (processes + count_active_cores()) / available_cores())


def _core_times() -> tuple[int, int] | None:
    """Return the ticks that all cores worked, those of low priority left out, and all ticks."""
    try:
        first = Path("/proc/stat").read_text().splitlines()[0].split()
    except OSError:
        return None
    user, nice, system, *rest = (int(ticks) for ticks in first[1:9])
    worked = user + system + (nice if _autogroups() else 0)
    return worked, user + nice + system + sum(rest)


def _autogroups() -> bool:
    """Return whether Linux shares its cores by terminal first, and by `nice` only within one."""
    try:
        return Path("/proc/sys/kernel/sched_autogroup_enabled").read_text().strip() == "1"
    except OSError:
        return False


def cpu_name() -> str:
    """Return the processor's name as the operating system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpu_instructions() -> str:
    """Return the instruction set that torch's kernels use here."""
    import torch

    return str(torch.backends.cpu.get_cpu_capability())


def available_memory_bytes(proc: Path = Path("/proc"), groups: Path = CONTROL_GROUPS) -> int | None:
    """Return bytes of memory that can be had without swapping; None where the system does not say.

    A limit of the control group counts, as of a container or a job of a cluster: past it Linux
    kills the process, however much memory the machine has.
    """
    free = [left for left in _group_rooms(proc, groups) if left is not None]
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    except OSError:
        pass
    return min(free, default=None)


def free_memory_bytes(device: str) -> int | None:
    """Return bytes of memory that `device` has left; None where the system does not say.

    A GPU of CUDA has memory of its own, any other device takes the main memory.
    """
    if not device.startswith("cuda"):
        return available_memory_bytes()
    import torch

    return torch.cuda.mem_get_info(device)[0]


def _group_rooms(proc: Path, groups: Path) -> Iterator[int | None]:
    """Yield what the control groups of this process, and those above them, leave; of both versions.

    In a container the path in `cgroup` may be that of the host, which is not there: then the
    group at the root is the container's.
    """
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        root = groups / "memory" if controllers else groups
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            yield _group_room(folder, is_first_version=bool(controllers))
            if folder == root:
                break


def _group_room(group: Path, *, is_first_version: bool) -> int | None:
    """Return bytes below the limit of one control group; None where it has none.

    Pages of files that were not used of late are given back, and do not count as used.
    """
    names = ("memory.max", "memory.current", "inactive_file")
    if is_first_version:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    try:
        limit = int((group / names[0]).read_text())  # "max": no limit
        used = int((group / names[1]).read_text())
        facts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, limit - max(0, used - int(facts.get(names[2], 0))))
    except (OSError, ValueError):
        return None


def process_began() -> float:
    """When this process was started, by `time.perf_counter`.

    Where the system does not say, the time of the processor so far is taken: at least so long.
    """
    try:
        started = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
        ticks = os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(started) / ticks
    except (OSError, AttributeError, ValueError, IndexError):
        age = time.process_time()
    return time.perf_counter() - max(age, time.process_time())


def resolve_device(device: str) -> str:
    """Return the device to use; `ConfigError` if the requested one is not there."""
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    here = ["cpu", *(["mps"] if mps else [])]
    here += ["cuda", *(f"cuda:{n}" for n in range(torch.cuda.device_count()))] if cuda else []
    if device not in here:
        missing = {"cuda": "no CUDA graphics card was found here", "mps": "no Apple GPU is here"}
        problem = missing.get(device.partition(":")[0], "")
        if cuda and problem:
            problem = f"no graphics card of that number: {' or '.join(here[1:])} are here"
        raise ConfigError(
            "device", device, " or ".join(here) + (f" ({problem})" if problem else ""),
            "use --device auto",
        )  # fmt: skip
    return device


def package_versions() -> dict[str, str]:
    """Versions of what decides a result."""
    names = ("torch", "tokenizers", "safetensors", "numpy")
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in names}


def describe_hardware(device: str) -> dict[str, Any]:
    """Return what run.json says of the machine; no name of host or user."""
    facts: dict[str, Any] = {
        "system": platform.system(),
        "processor": cpu_name(),
        "cores": available_cores(),
        "memory_available": available_memory_bytes(),
        "versions": package_versions(),
    }
    if device.startswith("cuda"):
        import torch

        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts
