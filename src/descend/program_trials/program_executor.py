"""Trials of a program: several at a time on this machine, or on the cluster of `RAY_ADDRESS`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import msgspec

from descend.program_trials.run_program import (
    ProgramResult,
    TrialRequest,
    run_program,
    stop_process,
)
from descend.training.stop_signals import defer_stop_signals
from descend.trials.ray_executor import ray_address, run_tasks

POLL_SECONDS = 0.2
"""Seconds between two looks for a signal."""

ResultCallback = Callable[[int, ProgramResult], None]


def run_programs(
    requests: Sequence[TrialRequest], workers: int | None, on_program: ResultCallback
) -> list[ProgramResult]:
    """Return the result of each request; `on_program` hears of each as it comes.

    `workers` at a time; None: one on this machine, since a program may use all of it, and on a
    cluster as many as it takes.
    """
    results: dict[int, ProgramResult] = {}

    def on_result(index: int, result: ProgramResult) -> None:
        results[index] = result
        on_program(index, result)

    if ray_address():
        lines = [msgspec.json.encode((os.getcwd(), request)) for request in requests]
        run_tasks(
            _run_remote_program, lines, workers,
            lambda index, line: on_result(index, msgspec.json.decode(line, type=ProgramResult)),
        )  # fmt: skip
    else:
        _run_here(requests, workers or 1, on_result)
    return [results[index] for index in range(len(requests))]


def _run_here(requests: Sequence[TrialRequest], workers: int, on_result: ResultCallback) -> None:
    """Run requests in threads, which wait for processes.

    An error, Ctrl-C, SIGTERM, and a terminal that closes end all of them.
    """
    running: list[subprocess.Popen[bytes]] = []
    with ThreadPoolExecutor(workers) as pool, defer_stop_signals() as stop_request:
        futures = {
            pool.submit(run_program, request, running.append): index
            for index, request in enumerate(requests)
        }
        waiting = set(futures)
        try:
            while waiting:
                done, waiting = wait(waiting, POLL_SECONDS, FIRST_COMPLETED)
                for future in done:
                    on_result(futures[future], future.result())
                if stop_request.signal_number == signal.SIGINT:
                    raise KeyboardInterrupt
                if stop_request.signal_number is not None:
                    raise SystemExit(128 + stop_request.signal_number)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            while not all(future.done() for future in futures):
                for process in running:
                    stop_process(process)
                time.sleep(POLL_SECONDS)
            raise


def _run_remote_program(line: bytes) -> bytes:
    """Return what a machine of the cluster does with a folder and a `TrialRequest`."""
    folder, request = msgspec.json.decode(line, type=tuple[str, TrialRequest])
    try:
        os.chdir(folder)
    except OSError as problem:
        result = ProgramResult(None, 0.0, f"{socket.gethostname()}: {folder}: {problem.strerror}")
    else:
        result = run_program(request)
    return msgspec.json.encode(result)
