"""Many cases in one process: each fault is noticed, and is that of its own case."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks" / "reliability"))

if sys.platform != "linux":
    pytest.skip("limits of Linux", allow_module_level=True)

from value_batches import Batch, ChangedRecord, list_problems, run_batch  # noqa: E402

NUM_CASES = 7
FAULTY = 3


def take_all_memory() -> None:
    """Ask for more than a case may have."""
    try:
        bytearray(8 * 2**30)
    except MemoryError:
        os.abort()


FAULTS: dict[str, Callable[[], object]] = {
    "a traceback": lambda: [][1],
    "another exit code": lambda: 7,
    "an abort": os.abort,
    "an exit": lambda: os._exit(0),
    "a kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "no end of work": lambda: (resource.setrlimit(resource.RLIMIT_CPU, (1, 1)), spin()),
    "no end of waiting": lambda: (signal.setitimer(signal.ITIMER_REAL, 0.2), time.sleep(60)),
    "too much memory": take_all_memory,
    "a file of the user": lambda: (Path.cwd().parent / "own" / "mine.txt").write_text("gone"),
    "a file outside": lambda: Path("/etc/hostname").open("a").close(),
    "a program": lambda: os.system("true"),
    "a control code": lambda: print("\x1b[31m", flush=True),
}


def spin() -> None:
    """Compute without end."""
    while True:
        pass


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_that_of_its_own_case(
    fault: str, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = own_folder / "place"
    (place / "base").mkdir(parents=True)
    (place / "base" / "run.json").write_text("{}")
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(place / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(place / "temporary"))

    def run(words: list[str]) -> int:
        number = int((Path(words[1]) / "run.json").read_text())
        print(number, flush=True)
        answer = FAULTS[fault]() if number == FAULTY else 0
        return answer if isinstance(answer, int) and fault == "another exit code" else 0

    def make_change(number: int) -> Callable[[Path, Path], object]:
        return lambda folder, own: (folder / "run.json").write_text(str(number))

    batch = Batch(place, {"finished": place / "base", "stopped": place / "base"}, run)
    cases = [ChangedRecord(str(number), "show", make_change(number)) for number in range(NUM_CASES)]
    results: list[dict[str, object]] = []
    while len(results) < NUM_CASES:
        results += run_batch(batch, cases[len(results) :], len(results))
    problems = [list_problems(case, result) for case, result in zip(cases, results, strict=True)]
    assert [n for n, wrong in enumerate(problems) if wrong] == [FAULTY]
    assert [str(r["output"]).split()[0] for r in results] == [str(n) for n in range(NUM_CASES)]
