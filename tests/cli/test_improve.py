"""`descend improve`: never worse than what it is given, and it says what it did."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from descend.api import improve
from descend.cli.main import run as cli
from descend.runs.run_folder import is_finished, read_summary, write_summary


def test_mistakes_get_a_line(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["improve", str(trained), "--minutes", "0"]) == 2
    assert cli(["improve", "no/such/text"]) == 2
    shutil.copytree(trained, "half")
    write_summary(Path("half"), msgspec.structs.replace(read_summary(trained), finished=False))
    assert cli(["improve", "half"]) == 2
    said = capsys.readouterr().err
    assert "but found a run that is not finished" in said
    assert "descend resume half" in said
    assert "Traceback" not in said


def test_without_time_the_run_itself_is_the_best(trained: Path) -> None:
    shutil.copytree(trained, "own")
    found = improve("own", 0.001, save_dir="better")
    assert found.best is not None
    assert found.best.run == "own"
    assert found.stopped == "the time is up"
    assert Path("better/improvement.json").exists()


@pytest.mark.slow
def test_text_ends_with_a_model_in_time(varied_text: Path) -> None:
    found = improve(str(varied_text), 1.0, save_dir="better")
    assert found.best is not None
    assert is_finished(Path(found.best.run))
    assert found.seconds <= 66
    assert found.expectations
