"""Files of a log that are no text: pipes, devices, links, and the holes that crashes leave."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from descend.errors import LogError
from descend.loss_logs.log_folder import log_files
from descend.loss_logs.read_log import read_log

LINES = [f"step {step} | loss {3 + 10 / step:.4f}\n" for step in range(1, 101)]
HOLE_BYTES = 2**36

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="needs pipes, links, and files with holes"
)


def test_only_regular_files_that_lie_in_a_folder_are_read(tmp_path: Path) -> None:
    (elsewhere := tmp_path / "private.log").write_text("".join(LINES))
    folder = tmp_path / "run"
    folder.mkdir()
    os.mkfifo(folder / "train.log")
    for name, target in (
        ("output.log", "/dev/zero"), ("loss.log", str(elsewhere)), ("metrics.csv", "metrics.csv"),
        ("events.out.tfevents.1", "/dev/zero"), ("run-1.wandb", "../private.log"),
        ("trainer_state.json", "train.log"),
    ):  # fmt: skip
        (folder / name).symlink_to(target)
    assert log_files(folder) == []
    with pytest.raises(LogError, match="no file with losses"):
        read_log(folder)
    (folder / "logs").mkdir()
    (folder / "logs" / "1.out").write_text("".join(LINES))
    (folder / "latest.log").symlink_to("logs/1.out")  # as wandb and Slurm scripts link
    assert {path.name for path in log_files(folder)} == {"1.out", "latest.log"}
    assert len(read_log(folder).entries) == len(LINES)


def test_links_of_the_hugging_face_cache_are_read(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "6c1f").write_text("".join(LINES))
    folder = tmp_path / "snapshots" / "main"
    folder.mkdir(parents=True)
    (folder / "train.log").symlink_to("../../blobs/6c1f")
    assert len(read_log(folder).entries) == len(LINES)


def test_zeros_at_the_end_of_an_event_file_are_no_records(tmp_path: Path) -> None:
    file = tmp_path / "events.out.tfevents.1"
    record = b"\x1a\x0dbrain.Event:2"
    file.write_bytes(len(record).to_bytes(8, "little") + bytes(4) + record + bytes(4))
    os.truncate(file, HOLE_BYTES)
    with pytest.raises(LogError):
        read_log(tmp_path)


def test_lines_before_and_after_a_hole_are_read(tmp_path: Path) -> None:
    file = tmp_path / "train.log"
    with file.open("wb") as opened:
        opened.write("".join(LINES[:50]).encode())
        opened.seek(8 * 2**20)
        opened.write(b"\n" + "".join(LINES[50:]).encode())
    assert len(read_log(file).entries) == len(LINES)


def test_mlflow_folder_is_read_whole(tmp_path: Path) -> None:
    """MLflow 3.17 writes a file a metric, in folders where its name has a slash."""
    metrics = tmp_path / "mlruns" / "0" / "3f0c" / "metrics"
    (metrics / "train").mkdir(parents=True)
    (metrics.parent / "meta.yaml").write_text("status: 3\n")
    steps = range(10, 310, 10)
    (metrics / "train" / "loss").write_text(
        "".join(f"17000000{s:05} {9 / s + 2} {s}\n" for s in steps)
    )
    (metrics / "val_loss").write_text(
        "".join(f"17000000{s:05} {9 / s + 2.1} {s}\n" for s in steps[4::5])
    )
    (metrics / "lr").write_text("1700000000000 0.001 0\n")
    for path in (tmp_path, metrics.parent, metrics / "val_loss"):
        log = read_log(path)
        assert [e.position for e in log.entries] == list(steps)
        assert [e.validation_loss for e in log.entries if e.validation_loss is not None] == [
            9 / s + 2.1 for s in steps[4::5]
        ]
        assert log.kind == "MLflow run"


def test_mlflow_values_without_steps_count(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    (tmp_path / "params").mkdir()
    (metrics / "loss").write_text("".join(f"17000000{n:05} {3 - n / 9} 0\n" for n in range(9)))
    assert [e.position for e in read_log(tmp_path).entries] == list(range(1, 10))
