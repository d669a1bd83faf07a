"""The tables of runs and verdicts: JSON lines, so that scoring needs no training.

A script appends a row as soon as it is there, so a campaign that was stopped goes on where it was.
`compact_tables.py` rewrites a table with one line a case; `read` takes both kinds of line.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from corpora import SPLITS
from treatments import TREATMENTS

CAUSES = {t.label: t.cause for t in TREATMENTS}
"""By the label of a treatment, the cause that it addresses."""

LOSS_DIGITS, SECONDS_DIGITS = 5, 3
"""Decimals of a compact table: a loss in bits per byte, and seconds."""

MAX_RANKED = 3
"""Causes of a verdict that a compact table holds: as many as top-3 counts."""


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a case, treated or not. Bits per byte of validation text, so that runs with other
    tokenizers can be compared; `best` of the evaluations during the run, `end` at the last step.
    What has a default is in no compact table."""

    case: str
    treatment: str
    """Empty: as planted; `twin`: the healthy twin; `advice`: as the diagnosis recommended."""
    cause: str
    """The cause that the treatment addresses."""
    seed: int
    best: float
    steps: int
    diverged_step: int | None
    end: float | None = None
    best_at: float | None = None
    """Fraction of the run at which the best evaluation was made."""
    nats_per_token: float | None = None
    tokens: int | None = None
    seconds: float | None = None
    key: str = ""


class Diagnosed(msgspec.Struct, frozen=True, kw_only=True):
    """What one reader of a case said: the diagnosis, or a baseline."""

    case: str
    reader: str
    verdict: str
    ranked: list[str]
    probabilities: list[float]
    recommended_config: dict[str, Any]
    seconds: float
    run_seconds: float


class CaseRuns(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All runs of a case: by treatment the best loss of each seed, None where it was not run."""

    case: str
    steps: int
    """Of the run as planted."""
    losses: dict[str, list[float | None]]
    diverged: dict[str, list[int]] = {}
    """By treatment, the seeds that diverged."""

    def rows(self) -> list[Trained]:
        """The runs one by one; their steps are those of the run as planted."""
        return [
            Trained(
                case=self.case, treatment=label, cause=CAUSES.get(label, ""), seed=seed, best=best,
                steps=self.steps,
                diverged_step=0 if seed in self.diverged.get(label, ()) else None,
            )
            for label, losses in self.losses.items()
            for seed, best in enumerate(losses)
            if best is not None
        ]  # fmt: skip


class Verdict(msgspec.Struct, frozen=True, array_like=True):
    """What a reader said, as an array of these fields."""

    verdict: str
    ranked: list[str]
    probabilities: list[float]
    """That of the verdict, where one was stated."""
    seconds: float
    run_seconds: float


class CaseVerdicts(msgspec.Struct, frozen=True, kw_only=True):
    """What every reader said of a case."""

    case: str
    verdicts: dict[str, Verdict]

    def rows(self) -> list[Diagnosed]:
        """The verdicts one by one; what was recommended is not among them."""
        return [
            Diagnosed(
                case=self.case, reader=reader, recommended_config={},
                **msgspec.structs.asdict(verdict),
            )
            for reader, verdict in self.verdicts.items()
        ]  # fmt: skip


def add_split_option(parser: argparse.ArgumentParser) -> None:
    """Let the user choose the cases that a script works on."""
    parser.add_argument("--split", choices=SPLITS, default="development")


T = TypeVar("T", Trained, Diagnosed)


def read(path: Path, kind: type[T]) -> list[T]:
    """All whole rows of a table; none where there is no file."""
    if not path.is_file():
        return []
    rows: list[T] = []
    for line in path.read_bytes().splitlines():
        try:
            rows += _read_line(line, kind)
        except msgspec.DecodeError:
            continue  # the half line of a process that was stopped
    return rows


def _read_line(line: bytes, kind: type[T]) -> list[T]:
    compact: Any = CaseRuns if kind is Trained else CaseVerdicts
    try:
        return [msgspec.json.decode(line, type=kind)]
    except msgspec.ValidationError:
        rows: list[T] = msgspec.json.decode(line, type=compact).rows()
        return rows


def append(path: Path, row: Trained | Diagnosed) -> None:
    """Write one row in one piece: several processes may write to the same table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, msgspec.json.encode(row) + b"\n")
    finally:
        os.close(file)


def compact_runs(rows: Iterable[Trained]) -> list[CaseRuns]:
    """One line a case, in the order of the rows."""
    by_case: dict[str, list[Trained]] = defaultdict(list)
    for row in rows:
        by_case[row.case].append(row)
    return [_compact_case(case, own) for case, own in by_case.items()]


def _compact_case(case: str, rows: list[Trained]) -> CaseRuns:
    losses: dict[str, list[float | None]] = {}
    diverged: dict[str, list[int]] = {}
    steps = 0
    for row in rows:
        own = losses.setdefault(row.treatment, [])
        own += [None] * (row.seed + 1 - len(own))
        own[row.seed] = round(row.best, LOSS_DIGITS)
        if row.diverged_step is not None:
            diverged.setdefault(row.treatment, []).append(row.seed)
        if row.treatment == "" and (steps == 0 or row.seed == 0):
            steps = row.steps
    return CaseRuns(case=case, steps=steps, losses=losses, diverged=diverged)


def compact_verdicts(rows: Iterable[Diagnosed], without: Iterable[str]) -> list[CaseVerdicts]:
    """One line a case; no verdicts of the readers `without`, which are computed anew."""
    dropped = set(without)
    by_case: dict[str, dict[str, Diagnosed]] = defaultdict(dict)
    for row in rows:
        if row.reader not in dropped:
            by_case[row.case][row.reader] = Verdict(
                row.verdict,
                row.ranked[:MAX_RANKED],
                row.probabilities[:1],
                round(row.seconds, SECONDS_DIGITS),
                round(row.run_seconds, SECONDS_DIGITS),
            )
    return [CaseVerdicts(case=case, verdicts=verdicts) for case, verdicts in by_case.items()]
