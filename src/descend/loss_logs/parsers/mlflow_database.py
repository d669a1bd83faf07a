"""The database of MLflow 3, `mlflow.db`: its runs, with a row for each value of a metric.

The file may be a stranger's. It is opened for reading only, from two plain tables, within limits of
time and of sizes. A view or a virtual table in their place is refused, since it would compute.
Source: mlflow, mlflow/store/tracking/dbmodels/models.py (SqlRun, SqlMetric).
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

from descend.loss_logs.column_names import column_meaning
from descend.loss_logs.curve_assembly import CurveAssembly
from descend.loss_logs.log import LossLog, RunLosses
from descend.loss_logs.parsers.mlflow_metrics import Curves, number_points, read_curves
from descend.loss_logs.point_store import MIN_LOSSES
from descend.loss_logs.several_runs import MAX_NAMED

SQLITE_MAGIC = b"SQLite format 3\x00"
FILE_NAMES = ("mlflow.db", "mlruns.db")
"""Names that MLflow itself and its manual give to the database."""

MAX_SECONDS = 120.0
MAX_CELL_BYTES = 2**20
MAX_POINTS = 500_000
"""Of one metric. Of more, evenly spaced ones are read."""
MAX_METRICS = 200
"""Of one run, those of interest."""
MAX_RUNS_TRIED = 1_000
_NAME_LENGTH = 60

_TABLES = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND rootpage > 0 AND name = ?"
_RUNS = (
    "SELECT run_uuid, name FROM runs WHERE lifecycle_stage = 'active' "
    "ORDER BY start_time DESC, rowid DESC LIMIT ?"
)
_KEYS = "SELECT DISTINCT key FROM metrics WHERE run_uuid = ? LIMIT 10000"
_OF_METRIC = (
    "FROM metrics WHERE run_uuid = ? AND key = ? "
    "AND typeof(step) = 'integer' AND typeof(value) IN ('integer', 'real')"
)


def read_mlflow_database(path: Path, assembly: CurveAssembly) -> bool:
    """Read the last run that has enough losses; False if the database is of another program.

    The runs before it are named by their losses. Raises `OSError` if the database cannot be read.
    """
    with _open(path) as database:
        if not all(
            database.execute(_TABLES, (name,)).fetchone()[0] for name in ("runs", "metrics")
        ):
            return False
        assembly.facts.kind = "MLflow database"
        later, runs = 0, _runs_with_losses(database)
        for name, curves, log in runs:
            if len(log.entries) < MIN_LOSSES:
                later += 1
                continue
            assembly.facts.notes += _describe_choice(name, later)
            assembly.facts.earlier_runs = _earlier_losses(runs)
            return read_curves(curves, assembly)
    return False


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database within limits; what sqlite says of it is an `OSError`."""
    ends = time.monotonic() + MAX_SECONDS
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            database.text_factory = lambda content: content.decode("utf-8", "replace")
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_CELL_BYTES)
            database.set_progress_handler(lambda: time.monotonic() > ends, 100_000)
            database.execute("PRAGMA trusted_schema = OFF")
            database.execute("PRAGMA query_only = ON")
            yield database
    except sqlite3.Error as problem:
        reason = "too large to be read in time" if str(problem) == "interrupted" else str(problem)
        raise OSError(f"a database that cannot be read ({reason})") from None


def _runs_with_losses(
    database: sqlite3.Connection,
) -> Iterator[tuple[str, Curves, LossLog]]:
    """Yield name, metrics, and curve of the runs that logged a loss, the last one first."""
    for run_id, name in database.execute(_RUNS, (MAX_RUNS_TRIED,)).fetchall():
        keys = [key for (key,) in database.execute(_KEYS, (run_id,)) if isinstance(key, str)]
        meanings = {key: column_meaning(key) for key in keys}
        if not any(m and m.role in ("loss", "perplexity") for m in meanings.values()):
            continue
        known = sorted(key for key, meaning in meanings.items() if meaning)[:MAX_METRICS]
        curves: Curves = {key: [] for key in keys}  # their names tell what the model learns
        curves |= {key: list(_points(database, run_id, key)) for key in known}
        assembly = CurveAssembly()
        read_curves(curves, assembly)
        if (log := assembly.log()) is not None:
            yield str(name or run_id)[:_NAME_LENGTH], curves, log


def _points(database: sqlite3.Connection, run_id: str, key: str) -> Iterator[tuple[float, float]]:
    (count,) = database.execute(f"SELECT count(*) {_OF_METRIC}", (run_id, key)).fetchone()
    rows = database.execute(
        f"SELECT step, value, is_nan {_OF_METRIC} ORDER BY step, timestamp", (run_id, key)
    )
    spaced = islice(rows, 0, None, 1 + count // MAX_POINTS)
    # A value that is no number is stored as 0 beside a mark.
    return number_points([(float(s), math.nan if is_nan else float(v)) for s, v, is_nan in spaced])


def _describe_choice(name: str, later: int) -> list[str]:
    note = f"read the run {name!r}"
    if later:
        note += f" (later runs with too few losses to be judged: {later})"
    return [note]


def _earlier_losses(runs: Iterator[tuple[str, Curves, LossLog]]) -> list[RunLosses]:
    """Return the first and the last loss of the runs that `runs` still holds, the oldest first."""
    earlier: list[RunLosses] = []
    for _, _, log in runs:
        losses = [e.train_loss for e in log.entries if e.train_loss is not None]
        losses = losses or [e.validation_loss for e in log.entries if e.validation_loss is not None]
        if losses:
            earlier.insert(0, RunLosses(losses[0], losses[-1]))
        if len(earlier) == MAX_NAMED:
            break
    return earlier
