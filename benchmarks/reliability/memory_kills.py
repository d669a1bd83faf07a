"""Whole runs that the kernel kills for want of memory, or that get no more of it.

    sudo python benchmarks/reliability/memory_kills.py [--short] [--minutes MINUTES] [--out FILE]

At a random time of its life a run has a second thread that takes memory without end. In a memory
control group of its own the kernel kills it (SIGKILL): two whole checkpoints must stand once two
were saved, and no more than the steps of two saves may be lost. Under RLIMIT_AS each request of
memory fails from there on: the run must end with 0, or with 1, 2, or the exit code of a signal, and
a sentence. Then it must go on to the weights of the undisturbed run. A kill counts only if the
group counted it. It needs root and control groups of version 1, and says "not run" where one is
missing. The short form has 12 cases.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import whole_runs
from campaign_options import begin_within, make_parser
from kills import check_killed
from stored import bound_of_zero, store

GROUPS = Path("/sys/fs/cgroup/memory")
LIMIT_BYTES = 300 * 2**20
"""Of the group: more than a run takes, so that only the second thread passes it."""
NUM_CASES, NUM_SHORT = 50, 12
KINDS = ("kernel", "kernel", "address space")


def take_memory(delay: float) -> None:
    """Take memory until the kernel kills this process."""
    time.sleep(delay)
    blocks = []
    while True:
        blocks.append(bytearray(b"x" * 2**20))


def stop_giving(delay: float) -> None:
    """Let each further request of memory fail, but for what is free already."""
    time.sleep(delay)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def make_before(kind: str, delay: float, group: Path) -> Callable[[], None]:
    """What the child does before it starts."""

    def before() -> None:
        work = stop_giving
        if kind == "kernel":
            (group / "cgroup.procs").write_text(str(os.getpid()))
            work = take_memory
        threading.Thread(target=work, args=(delay,), daemon=True).start()

    return before


def count_kills(group: Path) -> int:
    """How many processes the kernel killed in the group."""
    lines = (group / "memory.oom_control").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def try_case(clean: whole_runs.CleanRun, kind: str, part: float, group: Path) -> dict[str, Any]:
    """One run, stopped by want of memory after a part of its life, and resumed."""
    folder, output = clean.place / "starved", clean.place / "output"
    shutil.rmtree(folder, ignore_errors=True)
    before = count_kills(group)
    words = whole_runs.words_to_go_on(clean.place, folder)
    ending = whole_runs.run_child(words, output, make_before(kind, part * clean.seconds, group))
    lost, problems = check_killed(folder)
    if kind == "kernel":
        fired = ending.code == -signal.SIGKILL and count_kills(group) == before + 1
        problems += [] if fired else ending.problems()
    else:
        fired = ending.code != 0
        problems += ending.problems(codes=(0, 1, 2))
    is_done = ending.code == 0
    problems += whole_runs.check_completion(clean, folder, goes_on=not is_done)
    return {"fired": fired, "lost": lost, "problems": problems, "ended": ending.output[-200:]}


def main() -> None:
    parser = make_parser(__doc__, short=f"{NUM_SHORT} cases")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if not (GROUPS / "memory.oom_control").exists() or not os.access(GROUPS, os.W_OK):
        sys.exit("not run: it needs root and control groups of version 1")
    draw = random.Random(arguments.seed)
    group = GROUPS / f"descend-{os.getpid()}"
    group.mkdir()
    cases: list[dict[str, Any]] = []
    count = NUM_SHORT if arguments.short else NUM_CASES
    try:
        (group / "memory.limit_in_bytes").write_text(str(LIMIT_BYTES))
        with whole_runs.open_bench() as clean:
            for number in begin_within(arguments.minutes, range(count)):
                kind = KINDS[number % len(KINDS)]
                case = {"kind": kind} | try_case(clean, kind, draw.random(), group)
                cases.append(case)
                print(case, file=sys.stderr, flush=True)
    finally:
        group.rmdir()
    fired = [case for case in cases if case["fired"]]
    problems = [f"{c['kind']}: {p}" for c in cases for p in c["problems"]]
    store("memory_kills", {
        "planned": count, "tried": len(cases), "total": len(fired),
        "kinds": {kind: sum(c["kind"] == kind for c in fired) for kind in dict.fromkeys(KINDS)},
        "not_fired": len(cases) - len(fired), "most_steps_lost": max(c["lost"] for c in cases),
        "failures": len(problems), "bound": bound_of_zero(len(fired)), "problems": problems,
    }, arguments.out)  # fmt: skip
    sys.exit(1 if problems or not fired else 0)


if __name__ == "__main__":
    main()
