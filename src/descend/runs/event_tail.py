"""events.jsonl of a run that may still be training: what is new since the last look."""

from __future__ import annotations

import os
from pathlib import Path

from descend.guard import open_regular, read_exactly
from descend.runs.checksums import Chain
from descend.runs.event_log import EVENTS
from descend.runs.events import Event, TrainingStarted, TrainingStopped, decode_event

TAIL_BYTES = 2**16
"""Bytes at the end of a log in which the last event is looked for: 200 steps, or one line of a
large network's weight updates."""

MAX_BYTES_AT_ONCE = 2**24
"""Bytes that one look reads at most; the rest comes with the next."""


class EventTail:
    """Reads the whole lines that were appended since the last `read`.

    `restarted` is set by a log that became shorter: it was replaced, and is read from its start.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVENTS
        self._forget()
        self.restarted = False
        self.has_more = False
        """Whether the last look left something for the next."""

    def _forget(self) -> None:
        self._offset, self._identity = 0, (0, 0)
        self._chain = Chain()

    def read(self) -> list[Event]:
        """Return the new events; none if there is no log, or if it cannot be read."""
        self.restarted = self.has_more = False
        try:
            with open_regular(self._path) as file:
                status = os.fstat(file.fileno())
                identity = (status.st_dev, status.st_ino)
                if self._offset and (status.st_size < self._offset or identity != self._identity):
                    self._forget()
                    self.restarted = True
                self._identity = identity
                if status.st_size == self._offset:
                    return []
                file.seek(self._offset)
                size = min(status.st_size - self._offset, MAX_BYTES_AT_ONCE)
                content = read_exactly(file, size)
                self.has_more = self._offset + size < status.st_size
        except OSError:
            return []
        end = content.rfind(b"\n") + 1
        if not end and self.has_more:  # no record is as long: what was read is let go
            end = len(content)
        self._offset += end
        return [event for line in content[:end].splitlines() if (event := self._decode(line))]

    def _decode(self, line: bytes) -> Event | None:
        return decode_event(line) if self._chain.check(line) else None


def last_start_or_stop(folder: Path) -> TrainingStarted | TrainingStopped | None:
    """Return the last such event near the end of the log, without reading the rest.

    None: there is none in the last `TAIL_BYTES`, as while a run trains.
    """
    try:
        with open_regular(folder / EVENTS) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - TAIL_BYTES))
            lines = read_exactly(file, TAIL_BYTES).splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if b'"training_st' not in line[:40]:
            continue
        event = decode_event(line)
        if isinstance(event, TrainingStarted | TrainingStopped):
            return event
    return None
