"""The raw results: one JSON object a line, appended as soon as it is there, so that scoring needs
no training and a campaign that was stopped goes on where it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a case, treated or not. Bits per byte of held-out text, so that runs with other
    tokenizers can be compared; `best` of the judgments made on the way, `end` at the last step."""

    case: str
    remedy: str
    """Empty: as planted; `twin`: the healthy twin."""
    cause: str
    """The cause that the remedy mends."""
    seed: int
    best: float
    end: float
    best_at: float
    """Share of the run at which the best judgment was made."""
    nats_per_token: float
    steps: int
    tokens: int
    seconds: float
    diverged_step: int | None
    key: str


class Diagnosed(msgspec.Struct, frozen=True, kw_only=True):
    """What one reader of a case said: the doctor, or a baseline."""

    case: str
    reader: str
    verdict: str
    ranked: list[str]
    probabilities: list[float]
    prescription: dict[str, Any]
    seconds: float
    run_seconds: float


def half_named(*, sealed: bool) -> str:
    """Which half of the corpora, as the names of its files say it."""
    return "sealed" if sealed else "development"


T = TypeVar("T", Trained, Diagnosed)


def read(path: Path, kind: type[T]) -> list[T]:
    """All whole rows of a table; none where there is no file."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_bytes().splitlines():
        try:
            rows.append(msgspec.json.decode(line, type=kind))
        except msgspec.DecodeError:
            continue  # the half line of a process that was stopped
    return rows


def append(path: Path, row: Trained | Diagnosed) -> None:
    """Write one row in one piece: several processes may write to the same table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, msgspec.json.encode(row) + b"\n")
    finally:
        os.close(file)
