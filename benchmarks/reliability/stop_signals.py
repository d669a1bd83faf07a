"""Every signal that ends or holds a run, at every phase of it: the run is saved and goes on.

    python benchmarks/reliability/stop_signals.py [--short] [--out FILE]

A signal is raised in the process of the run as it enters a function of that phase. Asked to stop,
a run must end with 128 + the number of the signal, or finish. No step may be lost that was made
before the first signal, unless a second one came. Resumed, it must end with the weights of the
undisturbed run. A phase counts only if the signal was raised there. The exit code is 1 otherwise.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import whole_runs
from campaign_options import begin_within, make_parser
from stored import bound_of_zero, store

PHASES = {
    "the text is read": ("descend.data.prepare", "read_documents", 0),
    "the first step": ("descend.training.loop", "check_for_loss_spike", 0),
    "a step": ("descend.training.loop", "check_for_loss_spike", 17),
    "a save": ("descend.runs.atomic_write", "verify_folder", 3),
    "the first save": ("descend.training.checkpoint", "encode_state", 0),
    "an evaluation": ("descend.training.training_run", "evaluate", 1),
    "a sample": ("descend.training.run_writer", "generate_sample", 0),
    "the summary": ("descend.training.run_writer", "write_summary", 1),
    "the model is saved": ("descend.training.run_writer", "save_model", 0),
}
"""Where it is: module, function in it, and how often that was called before."""

SIGNALS: dict[str, tuple[int, ...]] = {
    "SIGINT": (signal.SIGINT,),
    "SIGINT twice": (signal.SIGINT, signal.SIGINT),
    "SIGTERM": (signal.SIGTERM,),
    "SIGHUP": (signal.SIGHUP,),
    "SIGHUP and SIGTERM": (signal.SIGHUP, signal.SIGTERM),
    "SIGPIPE": (signal.SIGPIPE,),
    "SIGSTOP, then SIGCONT": (signal.SIGSTOP,),
}

GOES_ON = ("SIGPIPE", "SIGSTOP, then SIGCONT")
"""After those the run goes on to its end."""


def plant(phase: str, numbers: tuple[int, ...], mark: Path) -> Callable[[], None]:
    """What a child does first: the function of `phase` raises the signals when it is entered."""
    module_name, function, skipped = PHASES[phase]

    def change() -> None:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            python = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, python)
        module = importlib.import_module(module_name)
        before = getattr(module, function)
        calls = {"left": skipped}

        def entered(*values: Any, **named: Any) -> Any:
            calls["left"] -= 1
            if calls["left"] == -1:
                mark.touch()
                for number in numbers:
                    os.kill(os.getpid(), number)
            return before(*values, **named)

        setattr(module, function, entered)

    return change


def run_case(clean: whole_runs.CleanRun, phase: str, name: str) -> dict[str, Any]:
    """One signal in one phase; whether it was raised, and what does not hold."""
    place = clean.place
    folder, output, mark = place / "run", place / "output", place / "mark"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(place / "cache", ignore_errors=True)  # the text is read again
    mark.unlink(missing_ok=True)
    numbers = SIGNALS[name]
    words = whole_runs.train_words(place, folder)
    child = whole_runs.start(words, output, plant(phase, numbers, mark))
    if numbers == (signal.SIGSTOP,):
        while os.waitid(os.P_PID, child, os.WSTOPPED | os.WEXITED | os.WNOWAIT) is None:
            time.sleep(0.01)
        time.sleep(0.05)
        os.kill(child, signal.SIGCONT)
    ending = whole_runs.finish(child, output)
    expected = {0} if name in GOES_ON else {0, *(128 + n for n in numbers), *(-n for n in numbers)}
    problems = ending.problems(codes=expected)
    is_training = phase != "the text is read"
    if ending.code > 0 and is_training and len(numbers) == 1:
        lost = whole_runs.last_step(folder) - whole_runs.newest_step(folder)
        if lost:
            problems.append(f"{lost} steps are lost")
    problems += whole_runs.check_completion(clean, folder, goes_on=ending.code != 0)
    return {"fired": mark.exists(), "code": ending.code,
            "problems": [f"{name}, {phase}: {p}" for p in problems]}  # fmt: skip


def main() -> None:
    parser = make_parser(__doc__, short="each phase with two of the signals")
    arguments = parser.parse_args()
    tried, not_fired = 0, []
    endings: Counter[str] = Counter()
    problems: list[str] = []
    cases = [(phase, name) for phase in PHASES for name in SIGNALS]
    if arguments.short:
        cases = [case for number, case in enumerate(cases) if number % 4 == number // 7 % 4]
    with whole_runs.open_bench() as clean:
        for phase, name in begin_within(arguments.minutes, cases):
            result = run_case(clean, phase, name)
            if not result["fired"]:
                not_fired.append(f"{name}, {phase}")
                continue
            tried += 1
            endings[f"exit {result['code']}"] += 1
            problems += result["problems"]
            print(f"{name}, {phase}: {result}", file=sys.stderr, flush=True)
    store("stop_signals", {
        "total": tried, "phases": len(PHASES), "signals": len(SIGNALS), "not_fired": len(not_fired),
        "endings": dict(endings), "failures": len(problems), "bound": bound_of_zero(tried),
        "problems": problems, "without_effect": not_fired,
    }, arguments.out)  # fmt: skip
    sys.exit(1 if problems or not_fired else 0)


if __name__ == "__main__":
    if not sys.platform.startswith("linux"):
        sys.exit("not run: it needs Linux")
    main()
