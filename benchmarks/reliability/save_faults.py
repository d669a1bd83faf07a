"""A fault at every call of a save that changes a file: nothing good is lost.

    python benchmarks/reliability/save_faults.py [--short] [--out FILE] [--operation NAME]

Each fault is tried in a forked process on a fresh copy of a run folder. It counts only if the log
of the library says that it fired. The exit code is 1 if anything did not hold.
"""

from __future__ import annotations

import errno
import math
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import fault_injection
from campaign_options import begin_within, make_parser
from fault_injection import WRITES, Call, read_calls
from stored import bound_of_zero, scratch_folder, store

ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EDQUOT": errno.EDQUOT}


NOTICED_DAMAGE = ("events", "line", "the epoch before", "a record cannot be read")
"""Words of the problems that a flipped bit in a log or record brings: it is noticed and said."""


class Fault(NamedTuple):
    """A kind of fault, its error, and whether it can happen to a write alone."""

    kind: str
    error: int = 0
    writes_only: bool = False


FAULTS = {
    "killed before": Fault("kill before"),
    "killed after": Fault("kill after"),
    **{name: Fault("error", number) for name, number in ERRORS.items()},
    "ENOSPC from there on": Fault("errors from there on", errno.ENOSPC),
    "EIO from there on": Fault("errors from there on", errno.EIO),
    "short write": Fault("short write", writes_only=True),
    "short write, then ENOSPC": Fault("short write, then errors", errno.ENOSPC, True),
    "flipped bit": Fault("flipped bit", writes_only=True),
}


def run_child(bench, folder: Path, operation: str, log: Path, fault: Fault, at: int) -> tuple:
    """Do `operation` with a fault in a child; how it ended, and its calls."""
    import saves

    log.unlink(missing_ok=True)
    answer = log.with_suffix(".said")
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 2)
        fault_injection.arm(folder, log, fault.kind, at, fault.error)
        ending = saves.run_operation(bench, folder, operation)
        fault_injection.disarm()
        answer.write_text(ending)
        saves.quit_child(0)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    ending = "killed" if killed else answer.read_text() if answer.exists() else f"status {status}"
    return ending, read_calls(log)


def list_points(calls: list[Call], fault: Fault, short: bool) -> Iterator[int]:
    """The calls at which `fault` is tried: each, or in the short form each of some."""
    points = [c.number for c in calls if not fault.writes_only or (
        c.name in WRITES and (len(c.data) > 1 or fault.kind == "flipped bit"))]  # fmt: skip
    yield from points[::3] if short else points


def judge(bench, folder: Path, operation: str, fault: Fault, said: str) -> list[str]:
    """What does not hold after a child ended."""
    import save_checks

    finished = {"done": True, "refused": False, "killed": None}.get(said)
    problems = [] if said in ("done", "refused", "killed") else [f"it ended by {said}"]
    if fault.kind.startswith("kill") and said != "killed":
        problems.append("it was not killed")
    if fault.kind == "flipped bit":
        finished = None  # a record may be damaged: it must be noticed, and a checkpoint be whole
        if operation not in ("checkpoint", "same step", "earlier step"):
            return problems
        wrong = save_checks.check_folder(bench, folder, operation, finished)
        return problems + [p for p in wrong if not any(w in p for w in NOTICED_DAMAGE)]
    return problems + save_checks.check_folder(bench, folder, operation, finished)


def watch_operations(bench, place: Path, operations: list[str]) -> dict[str, list[Call]]:
    """The calls of each of `operations` without a fault."""
    import save_checks
    import saves

    folder, log = place / "run", place / "calls.log"
    calls_of = {}
    for operation in operations:
        saves.copy_base(bench, folder, operation)
        ending, calls = run_child(bench, folder, operation, log, Fault("watch"), 0)
        assert ending == "done", (operation, ending)
        assert save_checks.check_folder(bench, folder, operation, True) == [], operation
        calls_of[operation] = calls
    return calls_of


def sweep(
    bench,
    place: Path,
    operations: list[str],
    short: bool,
    faults: dict[str, Fault] = FAULTS,
    minutes: float = math.inf,
) -> dict:
    """Try `faults` at all points of `operations`, in an order drawn once, while there is time."""
    import saves

    calls_of = watch_operations(bench, place, operations)
    cases = [
        (operation, name, at) for operation, calls in calls_of.items()
        for name, fault in faults.items() for at in list_points(calls, fault, short)
    ]  # fmt: skip
    random.Random(0).shuffle(cases)
    tried: Counter[str] = Counter()
    endings: Counter[str] = Counter()
    problems: list[str] = []
    not_fired = 0
    folder, log = place / "run", place / "calls.log"
    for operation, name, at in begin_within(minutes, cases):
        fault, call = faults[name], calls_of[operation][at - 1]
        saves.copy_base(bench, folder, operation)
        ending, made = run_child(bench, folder, operation, log, fault, at)
        if not any(c.fired and c.number == at for c in made):
            not_fired += 1
            continue
        tried[name] += 1
        endings[ending.split(":")[0]] += 1
        where = f"{operation}, {name} at call {at} ({call.name} {Path(call.path).name})"
        problems += [f"{where}: {p}" for p in judge(bench, folder, operation, fault, ending)]
    return {
        "calls": {name: len(calls) for name, calls in calls_of.items()}, "planned": len(cases),
        "tried": dict(tried), "total": sum(tried.values()),
        "not_fired": not_fired, "endings": dict(endings), "failures": len(problems),
        "problems": problems,
    }  # fmt: skip


def main() -> None:
    parser = make_parser(__doc__, short="every third call")
    parser.add_argument("--operation", action="append")
    arguments = parser.parse_args()
    with scratch_folder() as place:
        import saves

        bench = saves.make_bench(place)
        operations = arguments.operation or list(saves.OPERATIONS)
        result = sweep(bench, place, operations, arguments.short, minutes=arguments.minutes)
    result["bound"] = bound_of_zero(result["total"])
    store("save_faults", result, arguments.out)
    for problem in result["problems"][:20]:
        print(problem, file=sys.stderr)
    sys.exit(1 if result["failures"] or result["not_fired"] else 0)


if __name__ == "__main__":
    fault_injection.run_preloaded(main)
