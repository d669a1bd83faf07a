"""The studio and the command line say the same of the same run: numbers, words, and verdict."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from descend.cli.main import run

from .studio_server import RunningStudio

pytest.importorskip("fastapi", reason="the extra `studio` is not installed")

Print = Callable[..., str]


@pytest.fixture
def prints(capsys: pytest.CaptureFixture[str]) -> Print:
    """`prints(*words)` gives what `descend WORDS` prints on standard output."""

    def call(*words: object) -> str:
        capsys.readouterr()
        assert run([str(word) for word in words]) == 0
        return capsys.readouterr().out

    return call


@pytest.fixture
def two_runs(studio: RunningStudio, trained: Path) -> Path:
    """The folder of the runs of `studio`: two, of which one has a lower result by its record."""
    models = studio.folder / "models"
    for name in ("first", "second"):
        shutil.copytree(trained, models / name)
    record = json.loads((models / "second" / "summary.json").read_text())
    record.pop("sha256")  # an edited one has none
    record["bits_per_byte"] += 0.25
    (models / "second" / "summary.json").write_text(json.dumps(record))
    return models


def test_list_has_the_numbers_of_the_command_line(
    studio: RunningStudio, two_runs: Path, prints: Print
) -> None:
    listed = json.loads(prints("list", two_runs, "--json"))["runs"]
    rows = {row["name"]: row for row in studio.ask("GET", "/runs")[1]["runs"]}
    assert len(listed) == len(rows) == 2
    for one in listed:
        row = rows[Path(one["run"]).name]
        assert (row["state"], row["text"]) == (one["state"], one["corpus"])
        assert row["started_at"] == one["saved_at"]
        assert all(
            row[key] == one[key]
            for key in ("parameters", "epochs", "validation_loss", "bits_per_byte")
        )


def test_list_has_the_part_that_was_read_and_the_lost_model_of_the_command_line(
    studio: RunningStudio, two_runs: Path, prints: Print
) -> None:
    record = json.loads((two_runs / "second" / "summary.json").read_text())
    record["num_epochs"] = 0.077
    (two_runs / "second" / "summary.json").write_text(json.dumps(record))
    (two_runs / "first" / "model.safetensors").unlink()
    listed = {
        Path(r["run"]).name: r for r in json.loads(prints("list", two_runs, "--json"))["runs"]
    }
    rows = {row["name"]: row for row in studio.ask("GET", "/runs")[1]["runs"]}
    assert [runs["first"]["state"] for runs in (listed, rows)] == ["model lost", "model lost"]
    assert [runs["second"]["epochs"] for runs in (listed, rows)] == [0.077, 0.077]
    details = studio.ask("GET", "/runs/first")[1]
    assert (details["state"], "missing" in details["sentence"]) == ("model lost", True)


def test_run_is_described_by_the_sentence_of_the_command_line(
    studio: RunningStudio, two_runs: Path, prints: Print
) -> None:
    printed = " ".join(prints("show", two_runs / "first").split())
    details = studio.ask("GET", "/runs/first")[1]
    assert details["sentence"] in printed
    assert f"Validation loss {details['summary']['validation_loss']:.3f}" in printed
    assert f"{details['summary']['validation_accuracy']:.0%} of the next tokens" in printed


def test_comparison_has_the_differences_of_the_command_line(
    studio: RunningStudio, two_runs: Path, prints: Print
) -> None:
    folders = [two_runs / "first", two_runs / "second"]
    compared = json.loads(prints("compare", *folders, "--json"))
    table = studio.ask("GET", "/runs/compare?run=first&run=second")[1]
    assert [run["bits_per_byte"] for run in compared["runs"]] == [
        run["bits_per_byte"] for run in sorted(table["runs"], key=lambda row: row["bits_per_byte"])
    ]
    different = {row["key"] for row in table["settings"] if row["differs"]}
    assert different == set(compared["differences"])


def test_diagnosis_has_the_verdict_of_the_command_line(
    studio: RunningStudio, two_runs: Path, prints: Print
) -> None:
    printed = " ".join(prints("diagnose", two_runs / "first", "--no-trials").split())
    diagnosis = studio.ask("GET", "/runs/first/diagnosis")[1]
    probability = diagnosis["probability"]
    sure = "" if probability is None else f" ({probability:.0%} sure)"
    assert f"{diagnosis['headline'].rstrip('.:')}{sure}" in printed
    for cause in diagnosis["causes"]:
        assert cause["advice"] in printed
