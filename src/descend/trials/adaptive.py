"""Trials one after the other, each chosen when there is room for it, and pruned when it is
unpromising.

Who steers is called in the thread that called us, one call at a time, however many processes work.
"""

from __future__ import annotations

import queue
import subprocess
import threading
from functools import partial
from typing import Protocol

import msgspec

from descend.errors import DescendError
from descend.trials.cached_trial import run_trial
from descend.trials.trial_spec import EvalPoint, TrialResult, TrialSpec
from descend.trials.worker_pool import (
    ADAPTIVE,
    STOP,
    WorkerMessage,
    start_worker,
    stop_workers,
    to_exception,
    wait_until_ready,
    worker_died_error,
)

_CONTINUE = b"go on\n"


class TrialScheduler(Protocol):
    """Chooses the next trial, and judges those that are under way by their keys."""

    def next_trial(self) -> TrialSpec | None:
        """Return what to train next; None when there is nothing more."""

    def on_evaluation(self, key: str, point: EvalPoint) -> bool:
        """Return whether to prune a trial, at each of its evaluations."""

    def on_progress(self, key: str, fraction: float) -> None:
        """Take note of the fraction of a trial that is done; called every few seconds."""

    def on_result(self, key: str, result: TrialResult | DescendError) -> None:
        """Take the result of a trial; of a pruned one, up to there."""


def run_adaptive_trials(scheduler: TrialScheduler, workers: int) -> None:
    """Train what `scheduler` asks for until it asks for nothing more, `workers` at a time.

    A trial that fails is reported to it; any other error is raised. Ctrl-C ends the processes at
    once.
    """
    if workers == 1:
        while (spec := scheduler.next_trial()) is not None:
            _run_here(scheduler, spec)
    else:
        _run_in_workers(scheduler, workers)


def _run_here(scheduler: TrialScheduler, spec: TrialSpec) -> None:
    key = spec.key
    result: TrialResult | DescendError
    try:
        result = run_trial(
            spec, partial(scheduler.on_evaluation, key), partial(scheduler.on_progress, key)
        )
    except DescendError as problem:
        result = problem
    scheduler.on_result(key, result)


Lines = queue.SimpleQueue[tuple[subprocess.Popen[bytes], bytes]]


def _run_in_workers(scheduler: TrialScheduler, count: int) -> None:
    lines: Lines = queue.SimpleQueue()
    processes: list[subprocess.Popen[bytes]] = []
    threads: list[threading.Thread] = []
    running: dict[subprocess.Popen[bytes], str] = {}

    def start(number: int) -> list[subprocess.Popen[bytes]]:
        # Nothing is requested before they can train: it would be charged with their start.
        started = [start_worker(ADAPTIVE) for _ in range(number)]
        processes.extend(started)
        wait_until_ready(started)
        for process in started:
            threads.append(threading.Thread(target=_listen, args=(process, lines)))
            threads[-1].start()
        return started

    def feed(process: subprocess.Popen[bytes]) -> None:
        spec = scheduler.next_trial()
        if spec is not None:
            running[process] = spec.key
            _write(process, msgspec.json.encode(spec) + b"\n")

    try:
        for process in start(count):
            feed(process)
        while running:
            process, line = lines.get()
            if process not in running:
                continue
            message = msgspec.json.decode(line, type=WorkerMessage) if line else WorkerMessage()
            if message.point is not None:
                _write(
                    process,
                    STOP if scheduler.on_evaluation(running[process], message.point) else _CONTINUE,
                )
                continue
            if message.fraction_done is not None:
                scheduler.on_progress(running[process], message.fraction_done)
                continue
            scheduler.on_result(running.pop(process), _result_from_message(message, ended=not line))
            feed(process if line else start(1)[0])
    finally:
        stop_workers(processes, threads)


def _result_from_message(message: WorkerMessage, ended: bool) -> TrialResult | DescendError:
    if message.result is not None:
        return message.result
    error = worker_died_error() if ended else to_exception(message.fault)
    if isinstance(error, DescendError):
        return error
    raise error


def _listen(process: subprocess.Popen[bytes], lines: Lines) -> None:
    """Pass on what `process` says, in a thread of our own; an empty line when it has ended."""
    assert process.stdout
    for line in process.stdout:
        lines.put((process, line))
    lines.put((process, b""))


def _write(process: subprocess.Popen[bytes], line: bytes) -> None:
    assert process.stdin
    try:
        process.stdin.write(line)
        process.stdin.flush()
    except OSError:
        pass  # it has ended, which `_listen` says
