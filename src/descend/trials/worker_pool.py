"""Trials in worker processes, spoken to in lines of JSON.

A process is started as `python -m descend.trials.worker_main`, not forked or spawned: torch
does not survive a fork, and spawning would run the main file of whoever called us once more.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO

import msgspec

from descend import errors
from descend.errors import DescendError, OutOfMemoryError
from descend.trials.timing.startup import record_worker_startup
from descend.trials.trial_spec import EvalPoint, TrialResult, TrialSpec

ADAPTIVE, STOP = "steered", b"stop\n"
"""Flag that makes a worker report its progress and accept a stop."""

READY = b"ready\n"
"""The first line of every worker: it can train."""


class RemoteError(msgspec.Struct, frozen=True):
    """A `DescendError` on its way between two processes; for any other, `text` says what it was."""

    kind: str
    facts: tuple[str, str, str, str] | None = None
    text: str = ""


Answers = queue.SimpleQueue[tuple[str, TrialResult | float] | BaseException]
"""Of a trial by its key: its result, or the fraction done."""


class WorkerMessage(msgspec.Struct, frozen=True):
    """What a worker says of one trial: exactly one of the four."""

    result: TrialResult | None = None
    fault: RemoteError | None = None
    point: EvalPoint | None = None
    """An evaluation during the trial, from a worker that is steered."""
    fraction_done: float | None = None
    """Of its steps, every few seconds."""


class WorkerPool:
    """Processes that carry trials out. They wait for the next series until `close` ends them."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._num_ready = 0

    def start(self, count: int) -> None:
        """Start processes until there are `count`; they read torch in while the caller goes on."""
        while len(self._processes) < count:
            self._processes.append(start_worker())

    def run(
        self,
        specs: Mapping[str, TrialSpec],
        count: int,
        done: Callable[[str, TrialResult], None],
        on_fraction: Callable[[str, float], None],
    ) -> None:
        """Carry `specs` out in `count` processes. `done` receives each result as it comes, and
        `on_fraction` how far each is.

        Raises the first error met, and ends the processes then, on Ctrl-C too.
        """
        waiting: queue.SimpleQueue[tuple[str, TrialSpec]] = queue.SimpleQueue()
        for item in specs.items():
            waiting.put(item)
        answers: Answers = queue.SimpleQueue()
        threads: list[threading.Thread] = []
        try:
            self._make_ready(count)
            for process in self._processes[:count]:
                thread = threading.Thread(target=_feed, args=(process, waiting, answers))
                thread.start()
                threads.append(thread)
            num_remaining = len(specs)
            while num_remaining:
                answer = answers.get()
                if isinstance(answer, BaseException):
                    raise answer
                key, what = answer
                if isinstance(what, float):
                    on_fraction(key, what)
                else:
                    num_remaining -= 1
                    done(key, what)
        except BaseException:
            self.close(threads)
            raise
        for thread in threads:  # nothing is left to hand out, so each has ended or is about to
            thread.join()

    def _make_ready(self, count: int) -> None:
        """Start what is missing of `count` processes, and wait until all of them can train."""
        fresh = not self._processes
        self.start(count)
        wait_until_ready(self._processes[self._num_ready : count], is_timed=fresh)
        self._num_ready = max(self._num_ready, count)

    def close(self, threads: Sequence[threading.Thread] = ()) -> None:
        """End all processes at once, and the `threads` that speak to them."""
        stop_workers(self._processes, threads)
        self._processes, self._num_ready = [], 0


_shared_pool: ContextVar[WorkerPool | None] = ContextVar("shared_pool", default=None)


@contextmanager
def share_workers(count: int = 0) -> Iterator[None]:
    """Let all series within share their processes, of which `count` start at once.

    A process takes seconds to read torch in, which a series of short trials would pay each time.
    """
    pool = WorkerPool()
    token = _shared_pool.set(pool)
    try:
        if count > 1:  # one trial at a time runs in this process
            pool.start(count)
        yield
    finally:
        _shared_pool.reset(token)
        pool.close()


def run_in_worker_pool(
    specs: Mapping[str, TrialSpec],
    count: int,
    done: Callable[[str, TrialResult], None],
    on_fraction: Callable[[str, float], None],
) -> None:
    """Carry `specs` out as `WorkerPool.run` does, in processes of their own unless `share_workers`
    holds some."""
    shared_pool = _shared_pool.get()
    pool = shared_pool or WorkerPool()
    try:
        pool.run(specs, count, done, on_fraction)
    finally:
        if shared_pool is None:
            pool.close()


def start_worker(*arguments: str) -> subprocess.Popen[bytes]:
    """Return a process that waits for trials; `arguments` stand behind its name."""
    # Where the package was found without PYTHONPATH, a child in the same Python finds it as well,
    # unless the caller changed sys.path; with this it finds the same one in any case.
    path = [str(Path(errors.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": os.pathsep.join(p for p in path if p), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "descend.trials.worker_main", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | own,
        start_new_session=True,  # Ctrl-C reaches us alone, and we end them
    )


def wait_until_ready(
    processes: Sequence[subprocess.Popen[bytes]], *, is_timed: bool = True
) -> None:
    """Until all `processes` can train; one that ended is met when spoken to.

    `is_timed`: they were just started, so that the wait says how long a start takes.
    """
    began = time.monotonic()
    ready = []
    for process in processes:
        assert process.stdout
        ready.append(process.stdout.readline() == READY)
    if is_timed and all(ready):
        record_worker_startup(began)


def stop_workers(
    processes: Sequence[subprocess.Popen[bytes]], threads: Sequence[threading.Thread]
) -> None:
    """End `processes` at once, and the `threads` that speak to them."""
    for process in processes:
        process.kill()
    for thread in threads:  # which meet the end of their process, and so their own
        thread.join()
    for process in processes:
        process.wait()
        _close_pipes(process)


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    """Close both ends that we hold of a process that has ended."""
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # what was still to be written has no reader any more
            if pipe:
                pipe.close()


def _feed(
    process: subprocess.Popen[bytes],
    waiting: queue.SimpleQueue[tuple[str, TrialSpec]],
    answers: Answers,
) -> None:
    """Hand one trial after the other to `process`, in a thread of our own."""
    assert process.stdin
    assert process.stdout
    while True:
        try:
            key, spec = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            process.stdin.write(msgspec.json.encode(spec) + b"\n")
            process.stdin.flush()
            while (message := _next_message(process.stdout)).fraction_done is not None:
                answers.put((key, message.fraction_done))
        except (OSError, ValueError, EOFError):  # it has ended, or the series has
            answers.put(worker_died_error())
            return
        answers.put((key, message.result) if message.result else to_exception(message.fault))


def _next_message(lines: IO[bytes]) -> WorkerMessage:
    """Raise `EOFError` where a worker ended before it had said it."""
    line = lines.readline()
    if not line:
        raise EOFError
    return msgspec.json.decode(line, type=WorkerMessage)


def worker_died_error() -> DescendError:
    """Return what is said of a process that was gone before its trial was done."""
    return OutOfMemoryError(
        "trials", "a process that ended in the middle of a run",
        "a process that reports its result",
        "memory may be short: use fewer workers (--workers 1)",
    )  # fmt: skip


def to_exception(fault: RemoteError | None) -> BaseException:
    """Return the error that a worker met, as it would have been raised here."""
    assert fault is not None
    kind = getattr(errors, fault.kind, None)
    if fault.facts and isinstance(kind, type) and issubclass(kind, DescendError):
        return kind(*fault.facts)
    return RuntimeError(f"{fault.kind} in a trial: {fault.text}")
