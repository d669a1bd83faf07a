"""Cuts the power of an ext4 in the middle of a save, mounts it again, and looks what is left.

    sudo python benchmarks/reliability/power_cuts.py [--cuts N] [--out FILE]

The file system lies in a file on a loop device, mounted `noauto_da_alloc,commit=300`, so that ext4
hides no missing sync. At a call of a save the process shuts it down without flushing its journal
(EXT4_IOC_SHUTDOWN) and dies. Cuts go through every call first, before and after it. It needs root,
loop devices and mkfs.ext4, and says "not run" where one is missing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import fault_injection
from campaign_options import begin_within, make_parser
from fault_injection import MissingToolError, read_calls
from stored import bound_of_zero, scratch_folder, store

IMAGE_BYTES = 24 * 2**20
OPTIONS = "loop,noauto_da_alloc,commit=300"
OPERATIONS = ("checkpoint", "same step", "earlier step", "records", "model", "new run")


def check_tools() -> None:
    """`MissingToolError` without what a cut needs."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise MissingToolError("root")
    for tool in ("mkfs.ext4", "mount", "umount"):
        if shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
            raise MissingToolError(tool)
    if not Path("/dev/loop-control").exists():
        raise MissingToolError("loop devices")


def mount(image: Path, target: Path) -> None:
    """Mount `image`; its journal is played."""
    done = subprocess.run(["mount", "-o", OPTIONS, str(image), str(target)],
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        raise MissingToolError(f"a loop mount ({done.stderr.strip()})")


def unmount(target: Path) -> None:
    """Unmount; of a shut down file system nothing more is written."""
    subprocess.run(["umount", str(target)], check=True)


def make_image(place: Path, bench, operation: str) -> Path:
    """An image with the run folder before `operation`, all of it on the disk."""
    import saves

    image, target = place / f"{operation.replace(' ', '_')}.img", place / "mount"
    target.mkdir(exist_ok=True)
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True,
                   env=os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})  # fmt: skip
    mount(image, target)
    saves.copy_base(bench, target / "run", operation)
    unmount(target)
    return image


def cut(bench, place: Path, operation: str, image: Path, kind: str, at: int) -> tuple:
    """One cut: whether it fired, whether the operation had ended, and what does not hold."""
    import save_checks
    import saves

    target, log = place / "mount", place / "calls.log"
    log.unlink(missing_ok=True)
    disk = place / "disk.img"
    subprocess.run(["cp", "--sparse=always", str(image), str(disk)], check=True)
    mount(disk, target)
    child = os.fork()
    if child == 0:
        descriptor = os.open(target, os.O_RDONLY)
        fault_injection.arm(target / "run", log, kind, at, 0, descriptor)
        saves.run_operation(bench, target / "run", operation)
        fault_injection.disarm()
        saves.quit_child(0)
    _, status = os.waitpid(child, 0)
    unmount(target)
    fired = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    calls = read_calls(log)
    fired = fired and bool(calls) and calls[-1].fired
    mount(disk, target)
    try:
        problems = save_checks.check_folder(bench, target / "run", operation, None)
    finally:
        unmount(target)
    return fired, calls, problems


def count_calls(bench, place: Path, operation: str) -> int:
    """Calls of `operation`, on an ordinary disk."""
    import save_faults
    import saves

    folder = place / "run"
    saves.copy_base(bench, folder, operation)
    _, calls = save_faults.run_child(
        bench, folder, operation, place / "calls.log", save_faults.Fault("watch"), 0
    )
    return len(calls)


def schedule(counts: dict[str, int], cuts: int) -> Iterator[tuple[str, str, int]]:
    """Every call of every operation, before and after it, over and over; `cuts` in all, spread."""
    every = [(operation, kind, at) for operation, count in counts.items()
             for at in range(1, count + 1)
             for kind in ("power cut before", "power cut after")]  # fmt: skip
    if cuts >= len(every):
        for number in range(cuts):
            yield every[number % len(every)]
    else:
        for number in range(cuts):
            yield every[number * len(every) // cuts]


def run_cuts(bench, place: Path, cuts: int, minutes: float) -> dict:
    """Do `cuts` cuts, or those for which there is time."""
    counts = {operation: count_calls(bench, place, operation) for operation in OPERATIONS}
    images = {operation: make_image(place, bench, operation) for operation in OPERATIONS}
    tried: Counter[str] = Counter()
    problems: list[str] = []
    not_fired = 0
    for operation, kind, at in begin_within(minutes, schedule(counts, cuts)):
        fired, calls, wrong = cut(bench, place, operation, images[operation], kind, at)
        if not fired:
            not_fired += 1
            continue
        tried[operation] += 1
        call = calls[-1]
        problems += [f"{operation}, {kind} call {at} ({call.name} {Path(call.path).name}): {p}"
                     for p in wrong]  # fmt: skip
    points = 2 * sum(counts.values())
    return {
        "calls": counts, "tried": dict(tried), "total": sum(tried.values()), "points": points,
        "not_fired": not_fired, "failures": len(problems), "problems": problems[:200],
        "mount_options": OPTIONS,
    }  # fmt: skip


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--cuts", type=int, default=1000)
    arguments = parser.parse_args()
    with scratch_folder() as place:
        import saves

        result = run_cuts(saves.make_bench(place), place, arguments.cuts, arguments.minutes)
    result["bound"] = bound_of_zero(result["total"])
    store("power_cuts", result, arguments.out)
    for problem in result["problems"][:20]:
        print(problem, file=sys.stderr)
    sys.exit(1 if result["failures"] or result["not_fired"] else 0)


if __name__ == "__main__":
    try:
        check_tools()
        fault_injection.restart_preloaded()
        main()
    except MissingToolError as missing:
        sys.exit(f"not run: it needs {missing}")
