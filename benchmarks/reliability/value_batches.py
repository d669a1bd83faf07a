"""Many changed folders one after the other in one forked process, each with limits of its own.

A process for each takes ten times as long. The child notes each case before it begins it: when it
dies, that case is what killed it, and another child goes on with the next one.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hostile_verbs import CPU_SECONDS, MORE_BYTES, OUTPUT_BYTES, VERBS, Change, Watch, judge

WALL_SECONDS = 120
"""For a case that waits rather than computes: SIGALRM ends it."""

OWN_TEXT = "This is mine, all of it. " * 400
BROKEN_BATCH = 97


class ChangedRecord(NamedTuple):
    """A folder to change, and the verb that reads it."""

    name: str
    verb: str
    change: Change | None


def begin_limits() -> None:
    """Allow this process as much more memory and time as a case may take."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + CPU_SECONDS
    limits = {resource.RLIMIT_AS: pages * resource.getpagesize() + MORE_BYTES,
              resource.RLIMIT_CPU: seconds, resource.RLIMIT_FSIZE: 2**28}  # fmt: skip
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, resource.getrlimit(kind)[1]))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(WALL_SECONDS)


class Batch:
    """What a child does: `run` on the folder of each case, in `scratch`, beside a user's `own`."""

    def __init__(
        self, place: Path, bases: dict[str, Path], run: Callable[[list[str]], int]
    ) -> None:
        self.place, self.bases, self.run = place, bases, run
        self.scratch, self.own = place / "scratch", place / "own"
        self.log, self.output, self.audit = place / "log", place / "output", place / "audit"

    def try_cases(self, cases: Sequence[ChangedRecord], first: int) -> None:
        """Try each case, and write how it ended; never returns."""
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        descriptor = os.open(self.output, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", closefd=False) for n in (1, 2))
        cache = Path(os.environ["DESCEND_CACHE_DIR"])
        sys.addaudithook(Watch(self.audit, self.scratch, self.own, cache))
        with self.log.open("a") as log:
            for number, case in enumerate(cases, first):
                self._make_folder(case)
                begun = {"begun": number, "audited": self.audit.stat().st_size}
                log.write(json.dumps(begun) + "\n")
                log.flush()
                result = self._try_case(case)
                log.write(json.dumps(result | self.read_traces(begun["audited"])) + "\n")
                log.flush()
        os._exit(0)

    def _make_folder(self, case: ChangedRecord) -> None:
        os.chdir(self.place)
        for folder in (self.scratch, self.own):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        (self.own / "mine.txt").write_text(OWN_TEXT)
        base = self.bases["stopped" if case.verb == "resume" else "finished"]
        folder = self.scratch / "models" / "run"
        shutil.copytree(base, folder)
        if case.change is not None:
            case.change(folder, self.own)

    def _try_case(self, case: ChangedRecord) -> dict[str, Any]:
        folder = self.scratch / "models" / "run"
        text = self.bases["finished"].parent / "text.txt"
        words = [w.format(run=folder, text=text, parent=folder.parent) for w in VERBS[case.verb]]
        os.lseek(1, 0, os.SEEK_SET)
        os.ftruncate(1, 0)
        os.chdir(self.scratch)
        modules, began = set(sys.modules), os.times()
        begin_limits()
        try:
            code = self.run(words)
        except BaseException:
            traceback.print_exc()
            code = 1
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        sys.stdout.flush()
        sys.stderr.flush()
        ended = os.times()
        output = self.read_output()
        for name in set(sys.modules) - modules:
            file = str(getattr(sys.modules[name], "__file__", "") or "")
            if file.startswith(str(self.place)):
                output += f"Traceback: imported {file}"
        gc.collect()  # what one case leaves must not count as memory of the next
        return {
            "code": code, "output": output, "cpu_seconds": sum(ended[:4]) - sum(began[:4]),
        }  # fmt: skip

    def read_traces(self, audited: int) -> dict[str, Any]:
        """What the case did outside its folder."""
        audit = self.audit.read_bytes()[audited:].decode(errors="replace")  # before it reads `own`
        files = {path.name: path.read_text(errors="replace") for path in self.own.iterdir()}
        return {"audit": audit, "own_changed": files != {"mine.txt": OWN_TEXT}}

    def read_output(self) -> str:
        """What the case printed."""
        with self.output.open("rb") as file:
            return file.read(OUTPUT_BYTES).decode(errors="replace")


def run_batch(batch: Batch, cases: Sequence[ChangedRecord], first: int = 0) -> list[dict[str, Any]]:
    """How each of the first of `cases` ended: all, or those up to one that killed the process."""
    batch.log.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try:
            batch.try_cases(cases, first)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(BROKEN_BATCH)
    _, status, usage = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    notes = [json.loads(line) for line in batch.log.read_text().splitlines()]
    results = [note for note in notes if "code" in note]
    if len(results) < len(cases):
        if code == BROKEN_BATCH or "begun" not in notes[-1]:
            raise RuntimeError(f"{code} outside a case: {batch.read_output()[-2000:]}")
        results.append({
            "code": code or "exit without an answer", "output": batch.read_output(),
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
        } | batch.read_traces(notes[-1]["audited"]))  # fmt: skip
    return results


def list_problems(case: ChangedRecord, result: dict[str, Any]) -> list[str]:
    """What does not hold of one case."""
    problems = judge(case.verb, result)
    return problems + ["a file of the user was changed"] * result["own_changed"]
