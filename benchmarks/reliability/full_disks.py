"""Whole runs on disks that fill up, turn read-only, or refuse long files: the last save stands.

    sudo python benchmarks/reliability/full_disks.py [--short] [--out FILE]

A run is trained on a tmpfs that has room for a part of it only (by bytes, by inodes), that refuses
files beyond a size (RLIMIT_FSIZE), or that is read-only when the run goes on after a kill. It must
end with exit code 0, or with 1 or 2 and a sentence. Then the disk gets room, and the run must go on
from a whole checkpoint to the weights of the undisturbed run. A case counts only if the run did not
end with 0. It needs root and tmpfs, and says "not run" where one is missing.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import whole_runs
from campaign_options import begin_within, make_parser
from stored import bound_of_zero, store

ROOM = 64 * 2**20
MANY_INODES = 10_000
FULL_SIZES = (4, 16, 40, 64, 96, 128, 160, 200, 240, 280)
"""Kilobytes."""
INODES = (3, 6, 9, 12, 16, 20, 24, 28, 32, 36)
READ_ONLY_STEPS = (1, 4, 7, 12, 20)
FILE_SIZES = (1000, 4000, 9000, 20_000)


class DiskFault(NamedTuple):
    """A disk, and what happens to it."""

    kind: str
    size: int
    """Kilobytes, inodes, step, or bytes."""

    @property
    def options(self) -> str:
        """The mount options of the tmpfs."""
        size = f"{self.size}k" if self.kind == "bytes" else ROOM
        inodes = self.size if self.kind == "inodes" else MANY_INODES
        return f"size={size},nr_inodes={inodes}"

    def before(self) -> Callable[[], None]:
        """What the child does before it starts."""

        def change() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            if self.kind == "file size":
                resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.size))
            if self.kind == "read-only":
                kill_at(self.size)

        return change


CASES = (
    *(DiskFault("bytes", size) for size in FULL_SIZES),
    *(DiskFault("inodes", count) for count in INODES),
    *(DiskFault("read-only", step) for step in READ_ONLY_STEPS),
    *(DiskFault("file size", size) for size in FILE_SIZES),
)  # fmt: skip


def mount(options: str, target: Path) -> None:
    """Mount a tmpfs, or change the options of one."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(target)],
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        sys.exit(f"not run: it needs tmpfs mounts ({done.stderr.strip()})")


def kill_at(step: int) -> None:
    """In a child: let it be killed in `step`; no disk turns read-only while a file is written."""
    from descend.training import loop

    before, calls = loop.check_for_loss_spike, {"number": 0}

    def counted(*values: Any) -> None:
        calls["number"] += 1
        if calls["number"] == step:
            os.kill(os.getpid(), signal.SIGKILL)
        before(*values)

    loop.check_for_loss_spike = counted


def run_case(clean: whole_runs.CleanRun, case: DiskFault) -> dict[str, Any]:
    """One disk; whether the fault was met, and what does not hold."""
    place = clean.place
    disk, output = place / "disk", place / "output"
    disk.mkdir(exist_ok=True)
    mount(case.options, disk)
    folder = disk / "run"
    try:
        words = whole_runs.train_words(place, folder)
        ending = whole_runs.run_child(words, output, case.before())
        if case.kind == "read-only":
            mount("remount,ro", disk)
            ending = whole_runs.run_child(whole_runs.words_to_go_on(place, folder), output)
        problems = ending.problems(codes=(0, 1, 2))
        said = ending.output.strip().splitlines()[-1:]
        if ending.code and not any("Fix:" in line for line in ending.output.splitlines()):
            problems.append(f"no sentence: {said}")
        mount(f"remount,rw,size={ROOM},nr_inodes={MANY_INODES}", disk)
        saves = whole_runs.count_saves(folder) if (folder / "checkpoints").is_dir() else 0
        problems += whole_runs.check_checkpoints(folder)
        problems += whole_runs.check_completion(clean, folder, goes_on=ending.code != 0)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    return {"code": ending.code, "saves": saves, "said": said,
            "problems": [f"{case.kind} {case.size}: {p}" for p in problems]}  # fmt: skip


def main() -> None:
    parser = make_parser(__doc__, short="every third disk")
    arguments = parser.parse_args()
    tried: Counter[str] = Counter()
    problems, without_effect, with_saves = [], [], 0
    with whole_runs.open_bench() as clean:
        chosen = CASES[::3] if arguments.short else CASES
        for case in begin_within(arguments.minutes, chosen):
            result = run_case(clean, case)
            print(f"{case.kind} {case.size}: {result}", file=sys.stderr, flush=True)
            problems += result["problems"]
            if result["code"] == 0:
                without_effect.append(f"{case.kind} {case.size}")
                continue
            tried[case.kind] += 1
            with_saves += result["saves"] > 0
    total = sum(tried.values())
    store("full_disks", {
        "total": total, "tried": dict(tried), "after_a_save": with_saves,
        "not_fired": len(without_effect), "without_effect": without_effect,
        "failures": len(problems), "bound": bound_of_zero(total), "problems": problems,
    }, arguments.out)  # fmt: skip
    sys.exit(1 if problems or not total else 0)


if __name__ == "__main__":
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or not shutil.which("mount"):
        sys.exit("not run: it needs Linux, root, and mount")
    main()
