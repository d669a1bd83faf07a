"""The database of MLflow 3: one that it wrote, and files that only look like one.

`mlflow.db.xz` was written by MLflow 3.17.2. Its runs logged, one after the other: 12 losses
without steps; 30 that fall; 30 that end in infinity and a value that is no number; 30 in a run that
was deleted; one. The second and the third end as the Trainer does, with the mean of the whole run.
"""

from __future__ import annotations

import lzma
import math
import sqlite3
from pathlib import Path

import pytest

from descend.errors import LogError
from descend.loss_logs.diagnose_log import diagnose_log
from descend.loss_logs.log_folder import holds_other_log
from descend.loss_logs.parsers import mlflow_database
from descend.loss_logs.read_log import read_log

SAMPLE = Path(__file__).parent / "mlflow.db.xz"
CURVE = [2 + 9 / (n + 1) for n in range(1, 31)]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "work #1?" / "mlflow.db"
    path.parent.mkdir()
    path.write_bytes(lzma.decompress(SAMPLE.read_bytes()))
    return path


def change(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_last_run_with_enough_losses_is_read(database: Path) -> None:
    before = database.read_bytes()
    log = read_log(database)
    assert log.kind == "MLflow database"
    assert log.unit == "steps"
    assert [e.position for e in log.entries] == list(range(10, 310, 10))
    losses = [e.train_loss or math.nan for e in log.entries]
    assert losses[:27] == pytest.approx(CURVE[:27])
    assert not any(math.isfinite(loss) for loss in losses[27:])  # infinity is stored as 1.8e308
    assert math.isnan(losses[29])  # stored as 0
    validation = {e.position: e.validation_loss for e in log.entries if e.validation_loss}
    assert validation[50] == pytest.approx(CURVE[4] + 0.1)
    assert {e.learning_rate for e in log.entries} == {0.001}
    assert diagnose_log(database).verdict == "diverged"
    assert database.read_bytes() == before
    assert list(database.parent.iterdir()) == [database]


def test_other_runs_are_named_and_deleted_ones_are_not(database: Path) -> None:
    notes = " ".join(read_log(database).notes)
    assert "read the run 'diverged' (later runs with too few losses to be judged: 1)" in notes
    assert "1: 6.50 → 2.69, 2: 6.50 → 2.29, 3: 6.50 → nan" in notes
    assert "4: " not in notes


def test_database_is_read_from_its_folder(database: Path) -> None:
    assert holds_other_log(database.parent)
    log = read_log(database.parent)
    assert [e.position for e in log.entries] == [e.position for e in read_log(database).entries]
    assert log.notes[0] == "read from mlflow.db, found in the folder"


def test_values_without_steps_count(database: Path) -> None:
    change(database, "UPDATE runs SET lifecycle_stage = 'deleted' WHERE name != 'stepless'")
    log = read_log(database)
    assert [e.position for e in log.entries] == list(range(1, 13))
    assert [e.train_loss for e in log.entries] == pytest.approx(CURVE[:12])
    assert log.notes == ["read the run 'stepless'"]


def test_long_metric_is_read_evenly_to_its_end(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(database, "UPDATE runs SET lifecycle_stage = 'deleted' WHERE name != 'healthy'")
    monkeypatch.setattr(mlflow_database, "MAX_POINTS", 10)
    assert [e.position for e in read_log(database).entries if e.train_loss] == [*range(10, 310, 40)]


def test_values_of_other_types_are_left_out(database: Path) -> None:
    change(
        database,
        "UPDATE metrics SET value = x'00ff' WHERE step = 20",
        "UPDATE metrics SET step = 'many' WHERE step = 30",
        "UPDATE runs SET name = x'ff1b5b', lifecycle_stage = 'active'",
    )
    log = read_log(database)
    # The deleted run is back, and is the last one with enough losses.
    assert [e.position for e in log.entries if e.train_loss][:3] == [10, 40, 50]
    assert not any("\x1b" in note for note in log.notes)


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        (("DROP TABLE runs",), "a database without an MLflow run"),
        (("DELETE FROM metrics",), "a database without an MLflow run"),
        (  # a view that would never end
            ("ALTER TABLE metrics RENAME TO others",
             "CREATE VIEW metrics AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) "
             "SELECT x AS run_uuid, x AS key, x AS value, x AS is_nan, x AS step FROM n"),
            "a database without an MLflow run",
        ),
        (("ALTER TABLE metrics RENAME COLUMN is_nan TO other",), "no such column: is_nan"),
        (("UPDATE metrics SET key = zeroblob(2000000) WHERE step = 10",), "too big"),
    ],
)  # fmt: skip
def test_another_database_is_refused(
    database: Path, statements: tuple[str, ...], problem: str
) -> None:
    change(database, *statements)
    with pytest.raises(LogError, match=problem):
        read_log(database)


def test_damaged_database_is_refused(database: Path) -> None:
    content = database.read_bytes()
    database.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
    with pytest.raises(LogError, match="a database that cannot be read"):
        read_log(database)
    database.write_bytes(content[:100])
    with pytest.raises(LogError, match="database"):
        read_log(database)


def test_reading_ends_in_time(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(
        database,
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 100000) "
        "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) "
        "SELECT 'loss', 1.0, x, run_uuid, x, 0 FROM n JOIN runs ON name = 'diverged'",
    )
    monkeypatch.setattr(mlflow_database, "MAX_SECONDS", 0.0)
    with pytest.raises(LogError, match="too large to be read in time"):
        read_log(database)
