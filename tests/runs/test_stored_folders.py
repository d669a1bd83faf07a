"""Folders that earlier code wrote open: read, shown, resumed, and continued without a change."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

import descend
from descend.cli.main import run as run_command
from descend.diagnosis.recommended_config import load_diagnosis
from descend.errors import RunFolderError
from descend.experiments.compare.comparison_result import Comparison
from descend.experiments.experiment_folder import read_record
from descend.runs.annotation import read_annotation
from descend.runs.atomic_write import verify_folder
from descend.runs.checkpoint_folders import checkpoints, latest_checkpoint
from descend.runs.event_log import event_problems, read_events
from descend.runs.events import Step
from descend.runs.run_files import read_info
from descend.runs.run_folder import read_summary
from descend.runs.saved_weights import list_saved_weights, load_saved_weights
from descend.training.trainer import run_training
from descend.training.training_run import resume_run

FOLDER = Path(__file__).parent / "stored_folders"
ARCHIVES = {
    "schema_1.tar.xz": "786cdfec25517d92e2c88e4d965198426bd8524ba9c162936ee3d9e2f40f6894",
}
"""Archives by `stored_folders/make.py`, and their SHA-256: none is ever made again."""
TOLERANCE_NATS = 1e-3
"""Another processor or torch rounds differently."""


@pytest.fixture(params=ARCHIVES)
def stored(request: pytest.FixtureRequest, own_folder: Path) -> Path:
    """The folders of an archive."""
    archive = FOLDER / request.param
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == ARCHIVES[request.param]
    with tarfile.open(archive) as tar:
        tar.extractall(own_folder, filter="data")
    return own_folder


READERS = {
    "schema": load_diagnosis,
    "format": lambda folder: read_record(folder, "comparison.json", Comparison),
}


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_archive_is_tried() -> None:
    assert {path.name for path in FOLDER.glob("*.tar.xz")} == set(ARCHIVES)


def test_finished_run_opens(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = stored / "finished"
    before = contents(run)
    assert read_info(run).resolved_config["max_steps"] == 40
    assert read_summary(run).finished
    steps = [e for e in read_events(run) if isinstance(e, Step)]
    assert [e.step for e in steps] == list(range(1, 41))
    assert event_problems(run) == ()
    assert verify_folder(run)
    assert read_annotation(run).note == "a note"
    assert load_diagnosis(run).causes is not None
    saved = list_saved_weights(run)
    assert {weights.kind for weights in saved} >= {"checkpoint", "model"}
    for weights in saved:
        load_saved_weights(run, weights.id)
    assert descend.load(run).complete(["The"], 3)
    for words in (["show", str(run)], ["list", str(stored)], ["generate", str(run), "The"]):
        assert run_command(words) == 0, words
    assert contents(run) == before, "reading changes nothing"
    assert run_command(["report", str(run)]) == 0
    assert contents(run).keys() - before.keys() == {run / "report.html"}
    assert "damaged" not in capsys.readouterr().err


def test_stopped_run_goes_on_to_the_loss_of_the_finished_one(stored: Path) -> None:
    folder = stored / "stopped"
    assert [step for step, _ in checkpoints(folder)][-1] == 30
    assert len(checkpoints(folder)) == 2
    assert latest_checkpoint(folder) == folder / "checkpoints" / "step_30"
    for _ in run_training(resume_run(folder)):
        pass
    assert [e.step for e in read_events(folder) if isinstance(e, Step)] == list(range(1, 41))
    one, other = read_summary(folder).validation_loss, read_summary(stored / "finished")
    assert one == pytest.approx(other.validation_loss, abs=TOLERANCE_NATS)


def test_comparison_opens(stored: Path) -> None:
    comparison = read_record(stored / "comparison", "comparison.json", Comparison)
    assert len(comparison.arms) == 2
    assert run_command(["report", str(stored / "comparison")]) == 0


@pytest.mark.parametrize(("file", "key"), [
    ("finished/diagnosis.json", "schema"), ("comparison/comparison.json", "format"),
])  # fmt: skip
def test_record_of_a_newer_descend_is_refused(
    stored: Path, file: str, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stored / file
    record = json.loads(path.read_bytes())
    assert record[key] == 1
    path.write_text(json.dumps(record | {key: 2, "causes": {}, "arms": {}}))
    command = "show" if key == "schema" else "report"
    with pytest.raises(RunFolderError, match=f"a record of {key} 2"):
        READERS[key](path.parent)
    assert run_command([command, str(path.parent)]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err
