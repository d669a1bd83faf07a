"""events.jsonl: what happened in a run, one record a line, each with its checksum."""

from __future__ import annotations

import errno
import logging
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path

import msgspec

from descend.errors import RunFolderError
from descend.guard import open_regular, read_exactly
from descend.runs.atomic_write import PRIVATE, disk_error, make_folder, write_file_atomic
from descend.runs.checksums import MAX_LINE_BYTES, START, Chain, checksum_of, read_lines, seal_line
from descend.runs.events import (
    SCHEMA,
    CheckpointSaved,
    Event,
    ProgramWarning,
    Rollback,
    Step,
    TrainingStarted,
    TrainingStopped,
    decode_event,
)

EVENTS = "events.jsonl"
_BLOCK = 2**16
_NUM_LISTED = 5


class EventLog:
    """Appends records to events.jsonl; each line reaches the file system as it is written."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVENTS
        self._encoder = msgspec.json.Encoder()
        try:
            make_folder(folder, PRIVATE)
            self._part_from_other_names()
            self._last = self._mend_last_line()
            self._file = self._open()
        except OSError as problem:
            raise disk_error(self._path, problem) from None

    def _open(self) -> FileIO:
        return open_regular(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT)

    def _part_from_other_names(self) -> None:
        """Write a log that has another name (a hard link) anew: only the one here may change.

        A backup made of hard links (`cp -al`) shares each file with the folder that it was made of.
        """
        with suppress(FileNotFoundError), open_regular(self._path) as file:
            if os.fstat(file.fileno()).st_nlink > 1:
                write_file_atomic(self._path, read_exactly(file, os.fstat(file.fileno()).st_size))

    def _mend_last_line(self) -> str:
        """Cut off a line that a crash left half written: the next append must start a line.

        Returns the checksum of the last whole line.
        """
        if not os.path.lexists(self._path):
            return START
        with open_regular(self._path, os.O_RDWR) as file:
            size = whole = file.seek(0, os.SEEK_END)
            tail = b""
            # Back to the last line end, and on to the one before it.
            while whole and tail.count(b"\n") < 2:
                if len(tail) > 2 * MAX_LINE_BYTES:
                    raise OSError(errno.EFBIG, "lines that are longer than any of a run")
                start = max(0, whole - max(_BLOCK, len(tail)))
                file.seek(start)
                tail = read_exactly(file, whole - start) + tail
                whole = start
            end = whole + tail.rfind(b"\n") + 1
            if end != size:
                file.truncate(end)
            lines = tail[: end - whole].splitlines()
        return (checksum_of(lines[-1]) if lines else None) or START

    def append(self, record: Event) -> None:
        """Write one record; `DiskWriteError` if the disk refuses.

        It is durable once `sync_events` was called.
        """
        sealed, self._last = seal_line(self._encoder.encode(record), self._last)
        try:
            line = sealed + b"\n"
            if self._file.write(line) != len(line):  # a disk that just got full takes a part
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as problem:
            raise disk_error(self._path, problem) from None

    def restore(self) -> bool:
        """Write the log again if it was deleted, moved or replaced; return whether it was.

        The open file still holds every record. `DiskWriteError` if the disk refuses.
        """
        opened = os.fstat(self._file.fileno())
        try:
            now = os.lstat(self._path)
            if (now.st_dev, now.st_ino) == (opened.st_dev, opened.st_ino):
                return False
        except FileNotFoundError:
            pass
        with open(self._file.fileno(), "rb", closefd=False) as file:
            file.seek(0)
            write_file_atomic(self._path, file.read())
        self._file.close()
        self._file = self._open()
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def sync_events(folder: Path) -> None:
    """Make the records so far durable, if there are any; `DiskWriteError` if the disk refuses."""
    path = folder / EVENTS
    try:
        with open_regular(path, os.O_RDWR) as file:
            os.fsync(file.fileno())
    except FileNotFoundError:
        return
    except OSError as problem:
        raise disk_error(path, problem) from None


def read_events(
    folder: Path, until: int | None = None, num_rollbacks: int | None = None
) -> list[Event]:
    """Read the valid records in order, or those that are valid for a resume from the checkpoint of
    step `until` after `num_rollbacks`. `RunFolderError` if a newer descend wrote them, or if it is
    no regular file.

    A run that was interrupted after its last checkpoint trains those steps again, as does one that
    was rolled back; of the two accounts the later one stands. A line that is not as it was written
    is left out, with a warning.
    """
    records, problems = _read(folder, until, num_rollbacks)
    for problem in problems:
        logging.getLogger("descend").warning("%s", problem)
    return records


def read_program_warnings(path: Path) -> list[ProgramWarning]:
    """Return the mistakes that `descend.watch` noticed in the program of a record.

    `path`: a folder, or its events.jsonl; of any other file there are none.
    """
    file = path / EVENTS if path.is_dir() else path
    if file.name != EVENTS or not file.is_file():
        return []
    events = map(decode_event, _whole_lines(file))
    return [event for event in events if isinstance(event, ProgramWarning)]


def event_problems(folder: Path) -> tuple[str, ...]:
    """Return sentences on what is damaged in, or missing from, events.jsonl."""
    return _read(folder, None)[1]


def _read(
    folder: Path, until: int | None, num_rollbacks: int | None = None
) -> tuple[list[Event], tuple[str, ...]]:
    events: list[Event] = []
    chain = Chain()
    for line in _whole_lines(folder / EVENTS):
        if not chain.check(line):
            continue
        record = decode_event(line)
        if record is None:
            chain.damaged.append(chain.number)
            continue
        if isinstance(record, TrainingStarted):
            _check_schema(folder, record.schema)
            events = _before_checkpoint(events, record.step, record.num_rollbacks)
        events.append(record)
    if until is not None:
        events = _before_checkpoint(events, until, num_rollbacks)
    events = _without_undone(events)
    return events, _problems(folder / EVENTS, chain, events)


def _whole_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a log, without a last one that a crash or a running process left half
    written."""
    try:
        for line in read_lines(path):
            if line.endswith(b"\n"):
                yield line[:-1]
    except OSError as problem:
        raise RunFolderError(
            str(path), f"a file that cannot be read ({problem.strerror or problem})",
            "the records of a run", "restore it from a copy",
        ) from None  # fmt: skip


def _problems(path: Path, chain: Chain, records: list[Event]) -> tuple[str, ...]:
    problems = []
    if chain.damaged:
        problems.append(
            f"{path}: {_numbers('line', chain.damaged)} damaged and left out "
            "(another checksum, or no record)"
        )
    if chain.incomplete:
        problems.append(f"{path}: lines are missing before {_numbers('line', chain.incomplete)}")
    steps = [r.step for r in records if isinstance(r, Step)]
    holes = [b for a, b in zip([0, *steps], steps, strict=False) if b > a + 1]
    if holes:
        problems.append(f"{path}: the steps before {_numbers('step', holes)} are missing")
    return tuple(problems)


def _numbers(noun: str, numbers: list[int]) -> str:
    """Return `line 4`, or `lines 4, 5, 6, …`."""
    listing = ", ".join(map(str, numbers[:_NUM_LISTED])) + (", …" if numbers[_NUM_LISTED:] else "")
    return f"{noun}{'s' if numbers[1:] else ''} {listing}"


def _check_schema(folder: Path, schema: int) -> None:
    if schema > SCHEMA:
        raise RunFolderError(
            str(folder / EVENTS), f"records of schema {schema}", f"at most {SCHEMA}",
            "read them with the newer descend that wrote them",
        )  # fmt: skip


def _before_checkpoint(records: list[Event], step: int, num_rollbacks: int | None) -> list[Event]:
    """Return those of `records` that count once training goes on from the checkpoint of `step`.

    A rollback goes back to lower steps, so whether it came before that checkpoint was saved is
    reported by the place of its record, not by its step. `num_rollbacks`: how many came before;
    a crash may have lost the record of that save. None in a log of an older descend.
    """
    rollbacks = [n for n, r in enumerate(records) if isinstance(r, Rollback)]
    first, last = 0, len(records)
    if num_rollbacks is not None and num_rollbacks <= len(rollbacks):
        first, last = [0, *rollbacks, last][num_rollbacks : num_rollbacks + 2]
    span = list(enumerate(records))[first:last]
    saves = [n for n, r in span if isinstance(r, CheckpointSaved) and r.step == step]
    place = saves[-1] + 1 if saves else last
    later = (r for r in records[place:] if isinstance(r, TrainingStarted | TrainingStopped))
    return [r for r in (*records[:place], *later) if r.step <= step or isinstance(r, Rollback)]


def _without_undone(records: list[Event]) -> list[Event]:
    """Return `records` without those of steps that a rollback after them went back before."""
    events: list[Event] = []
    lowest = math.inf
    for record in reversed(records):
        if record.step <= lowest or isinstance(record, Rollback | TrainingStopped):
            events.append(record)
        if isinstance(record, Rollback):
            lowest = min(lowest, record.step)
    return events[::-1]
