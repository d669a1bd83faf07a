"""What runs in a process of its own: training, diagnosis, experiments, lessons, in a queue.

A job is a signed file in .studio/jobs/. A server that starts anew reads them, and finds by process
number and time of birth which still run.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from descend.errors import DescendError, DiskWriteError
from descend.guard import decode_json, make_visible, read_regular
from descend.runs.atomic_write import os_error_sentence, write_file_atomic
from descend.web.studio.http_errors import NoSuchItemError, NotNowError, TooManyRequestsError
from descend.web.studio.processes import (
    ask_to_stop,
    is_same_process,
    process_age,
    process_birth,
    start_detached,
)
from descend.web.studio.signing import load_key, open_signed, sign
from descend.web.studio.workspace import Workspace

Kind = Literal["train", "resume", "diagnose", "improve", "lesson", "compare", "search", "attribute",
               "program", "serve"]  # fmt: skip

TRAINING: tuple[Kind, ...] = ("train", "resume", "lesson")
"""Kinds that may run beside each other on a large machine. The others time what they try."""

MIN_CORES_FOR_TWO = 8
"""Cores from which two runs train at a time: each then has as many as a small machine."""

JOB_SUFFIX = ".job"
MAX_QUEUED = 50
MAX_LOG_BYTES = 2**20
LOG_TAIL_BYTES = 20_000


class Job(msgspec.Struct, kw_only=True):
    """A command that was started, or waits in the queue."""

    run: str
    kind: Kind
    arguments: list[str]
    """Of `descend`."""
    text: str = ""
    """Name of the text, for the list."""
    minutes: float | None = None
    queued_at: float = 0.0
    """Seconds since 1970, as the others."""
    began_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    """None too where another server's process ended."""
    origin: str | None = None
    """The run that this one began from: its model, or its settings with a fix."""
    pid: int | None = None
    birth: str | None = None


def elapsed_seconds(job: Job) -> float:
    """Return for how long `job` has run, by the age of its process: the clock of the system may be
    set meanwhile. For how long it ran, if it has ended."""
    if job.began_at is None:
        return 0.0
    if job.ended_at is None and job.pid is not None:
        age = process_age(job.pid, job.birth)
        if age is not None:
            return age
    return max(0.0, (job.ended_at or time.time()) - job.began_at)


class Jobs:
    """The jobs of a workspace; `on_change` is called after each change."""

    def __init__(self, workspace: Workspace, max_running: int | None = None) -> None:
        self._workspace = workspace
        enough = (os.cpu_count() or 1) >= MIN_CORES_FOR_TWO
        self.max_running = (2 if enough else 1) if max_running is None else max_running
        self._lock = threading.RLock()
        self.naming = threading.Lock()
        """To hold from the choice of a free name until a job has it: requests come side by side."""
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._refusals: dict[str, DescendError] = {}
        self._key = load_key()
        self._jobs = self._load()
        self.on_change: Callable[[], None] = lambda: None

    def _load(self) -> dict[str, Job]:
        files = sorted(self._workspace.jobs.glob(f"*{JOB_SUFFIX}"))
        return {job.run: job for job in map(self._read_job, files) if job is not None}

    def _read_job(self, file: Path) -> Job | None:
        """Return the job in `file`; None for a damaged one, and for one of somebody else."""
        try:
            content = open_signed(read_regular(file), self._workspace.root, self._key)
            return None if content is None else decode_json(content, Job)
        except (OSError, msgspec.DecodeError):
            return None

    def add(self, job: Job) -> Job:
        """Put `job` into the queue, and start it if nothing runs.

        `NotNowError` if its run has one, `TooManyRequestsError` if the queue is full.
        """
        with self._lock:
            self.refresh()
            if self.is_active(job.run):
                raise NotNowError(
                    job.run, "a run that is busy or waits", "one that does nothing now",
                    "wait until it has ended",
                )  # fmt: skip
            if len(self.queue) >= MAX_QUEUED:
                raise TooManyRequestsError(
                    "queue", f"{MAX_QUEUED} waiting runs", "fewer", "wait until one has ended"
                )
            # Not before who waits already, whatever was done to the clock.
            job.queued_at = max([time.time(), *(other.queued_at for other in self.queue)])
            self._refusals.pop(job.run, None)
            self._save(job)  # first, so that nothing runs or waits that was refused
            before = self._jobs.get(job.run)
            self._jobs[job.run] = job
            self.refresh()
            if job.run in self._refusals:
                self._take_back(job, before)
                raise self._refusals.pop(job.run)
        return job

    def _take_back(self, job: Job, before: Job | None) -> None:
        """Put the job `before` in the place of `job`, or nothing."""
        with suppress(OSError):
            self.forget(job.run)
        if before is not None:
            self._jobs[job.run] = before
            with suppress(DiskWriteError):
                self._save(before)

    def refresh(self) -> None:
        """Note which processes ended, and start the next of the queue."""
        with self._lock:
            changed = [self._note_end(job) for job in self._jobs.values() if self._is_begun(job)]
            while (waiting := self.queue) and self._has_room(waiting[0]):
                self._try_start(waiting[0])
                changed.append(True)
        if any(changed):
            self.on_change()

    def _has_room(self, job: Job) -> bool:
        """Return whether `job` can begin now; a model that is served waits for nobody."""
        begun = [other for other in self._jobs.values() if self._is_begun(other)]
        running = [other for other in begun if other.kind != "serve"]
        if not running or job.kind == "serve":
            return True
        is_training = all(other.kind in TRAINING for other in [job, *running])
        return is_training and len(running) < self.max_running

    @staticmethod
    def _is_begun(job: Job) -> bool:
        return job.began_at is not None and job.ended_at is None

    def _note_end(self, job: Job) -> bool:
        child = self._children.get(job.run)
        if child is not None:
            job.exit_code = child.poll()
            ended = job.exit_code is not None
        else:
            assert job.pid is not None
            ended = not is_same_process(job.pid, job.birth)
        if ended:
            job.ended_at = time.time()
            self._children.pop(job.run, None)
            with suppress(DiskWriteError):  # by its number a new server knows that it has ended
                self._save(job)
        return ended

    def _try_start(self, job: Job) -> None:
        """Start `job`, or note that it failed where the disk refuses: it is not tried for ever."""
        try:
            self._start(job)
        except OSError as problem:
            self._note_refusal(job, os_error_sentence(problem))
        except DiskWriteError as problem:
            self._note_refusal(job, problem)

    def _note_refusal(self, job: Job, problem: DescendError) -> None:
        self._refusals[job.run] = problem
        job.began_at = job.ended_at = time.time()
        job.exit_code = 1
        with suppress(DiskWriteError):
            self._save(job)

    def _start(self, job: Job) -> None:
        child = start_detached(job.arguments, self._workspace.root, self.log_file(job.run))
        self._children[job.run] = child
        job.pid, job.birth = child.pid, process_birth(child.pid)
        job.began_at = time.time()
        try:
            self._save(job)
        except DiskWriteError:
            child.kill()  # nobody would know of it
            child.wait()
            del self._children[job.run]
            raise

    def _save(self, job: Job) -> None:
        content = sign(msgspec.json.encode(job), self._workspace.root, self._key)
        write_file_atomic(self._job_file(job.run), content)

    def _job_file(self, run: str) -> Path:
        return self._workspace.jobs / f"{run}{JOB_SUFFIX}"

    def log_file(self, run: str) -> Path:
        """Return where the output of the job of `run` goes."""
        return self._workspace.jobs / f"{run}.log"

    def config_file(self, run: str) -> Path:
        """Return where the settings of the job of `run` stand."""
        return self._workspace.jobs / f"{run}.config.json"

    def trials_file(self, run: str) -> Path:
        """Return where the trials of the diagnosis of `run`, or of an experiment, stand."""
        return self._workspace.jobs / f"{run}.trials.jsonl"

    def log(self, run: str) -> list[str]:
        """Return the last lines that the job of `run` printed, control characters made visible."""
        try:
            content = read_regular(self.log_file(run), MAX_LOG_BYTES)
        except OSError:
            return []
        text = content[-LOG_TAIL_BYTES:].decode("utf-8", errors="replace")
        return [make_visible(line) for line in text.splitlines() if line.strip()]

    def answer(self, run: str) -> dict[str, Any] | None:
        """Return the object that the job of `run` printed last, as `--json` does; None without
        one."""
        try:
            lines = read_regular(self.log_file(run), MAX_LOG_BYTES).splitlines()
        except OSError:
            return None
        for line in reversed(lines):
            if line.startswith(b"{"):
                with suppress(msgspec.DecodeError):
                    return decode_json(line, dict[str, Any])
        return None

    @property
    def queue(self) -> list[Job]:
        """Those that wait, first come first; a model to be served before all."""
        waiting = (j for j in self._jobs.values() if j.began_at is None and j.ended_at is None)
        return sorted(waiting, key=lambda job: (job.kind != "serve", job.queued_at))

    def active(self) -> list[Job]:
        """Return those that run, then those that wait."""
        with self._lock:
            return [*filter(self._is_begun, self._jobs.values()), *self.queue]

    def get(self, run: str) -> Job | None:
        """Return the last job of `run`."""
        return self._jobs.get(run)

    def all(self) -> list[Job]:
        """Return the last job of each run."""
        return list(self._jobs.values())

    def is_active(self, run: str) -> bool:
        """Return whether `run` has a job that runs or waits."""
        return any(job.run == run for job in self.active())

    def stop(self, run: str) -> None:
        """Ask the job of `run` to save and end, or take it out of the queue."""
        with self._lock:
            self.refresh()
            job = self._jobs.get(run)
            if job is None or job.ended_at is not None:
                raise NoSuchItemError(
                    "run", f"{run!r}, which does nothing now", "one that trains or waits",
                    "look at the list",
                )  # fmt: skip
            if job.began_at is None:
                self.forget(run)
            elif job.pid is not None:
                ask_to_stop(job.pid)
        self.on_change()

    def archive(self, run: str, folder: Path) -> None:
        """Move all that is known of the job of `run`, which does not run, into `folder`."""
        with self._lock:
            self._jobs.pop(run, None)
            for file in self._files(run):
                if os.path.lexists(file):
                    os.rename(file, folder / file.name)

    def unarchive(self, run: str, folder: Path) -> None:
        """Move what `archive` moved back."""
        with self._lock:
            for file in self._files(run):
                if os.path.lexists(folder / file.name):
                    os.rename(folder / file.name, file)
            if (job := self._read_job(self._job_file(run))) is not None:
                self._jobs[job.run] = job

    def _files(self, run: str) -> tuple[Path, ...]:
        return (self._job_file(run), self.log_file(run), self.config_file(run),
                self.trials_file(run))  # fmt: skip

    def forget(self, run: str) -> dict[str, Any] | None:
        """Remove what is known of the job of `run`; it does not run."""
        with self._lock:
            job = self._jobs.pop(run, None)
            self._job_file(run).unlink(missing_ok=True)
        return None if job is None else msgspec.to_builtins(job)
