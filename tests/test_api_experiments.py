"""The experiments from Python: shown, kept, and quiet where that is requested, as the verbs are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import descend as library
from descend.artifacts import ATTRIBUTION_FILE, COMPARISON_FILE
from descend.cli.main import run as descend
from descend.errors import RunFolderError
from descend.experiments.attribute.attribution_result import Attribution
from descend.experiments.compare.comparison_result import Comparison
from descend.experiments.experiment_folder import read_record

CaptureFixture = pytest.CaptureFixture[str]


def compared(tiny: dict[str, Any], **more: Any) -> Comparison:
    keys = tiny | {"epoch": 1} | more
    return library.compare(
        keys, vary={"learning_rate": [0.001, 0.004]}, seeds=1, budget=640, workers=1
    )


def test_compare_reports_and_saves_comparison(tiny: dict[str, Any], capsys: CaptureFixture) -> None:
    comparison = compared(tiny, save_dir="here", seed=71)
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("2 runs: about ") for line in lines)
    assert any(line.startswith("2 of 2 runs") for line in lines)
    assert lines[-1] == "saved in here"
    assert read_record(Path("here"), COMPARISON_FILE, Comparison) == comparison
    assert descend(["report", "here", "--output", "page.html"]) == 0
    assert comparison.sentence.split(":")[0] in Path("page.html").read_text(encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"but found here, which holds comparison\.json"):
        compared(tiny, save_dir="here", seed=71)


def test_compare_defaults_to_the_command_folder(tiny: dict[str, Any]) -> None:
    comparison = compared(tiny)
    (folder,) = Path("comparisons").iterdir()
    assert read_record(folder, COMPARISON_FILE, Comparison) == comparison


def test_a_quiet_comparison_says_nothing(tiny: dict[str, Any], capsys: CaptureFixture) -> None:
    loud = compared(tiny, seed=72)
    assert "2 of 2 runs" in capsys.readouterr().err
    for again in (73, 72):  # made anew, and from the cache
        comparison = compared(tiny, seed=again, log_level="warning", save_dir=f"quiet{again}")
        assert capsys.readouterr() == ("", "")
    assert comparison.arms[0].validation_loss == loud.arms[0].validation_loss


def test_attribute_reports_and_saves_attribution(
    tiny: dict[str, Any], tmp_path: Path, capsys: CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {key: value for key, value in tiny.items() if key != "corpus_dir"} | {"epoch": 1}
    for name, rate in (("a", 0.001), ("b", 0.004)):
        lines = [f"{key} = {value!r}\n" for key, value in (keys | {"learning_rate": rate}).items()]
        (tmp_path / f"{name}.toml").write_text("".join(lines))
    pair = (tmp_path / "a.toml", tmp_path / "b.toml", str(tiny["corpus_dir"]))
    attribution = library.attribute(*pair, seeds=1, workers=1, save_dir="there")
    output = capsys.readouterr().err
    assert "2 runs: about " in output
    assert output.endswith("saved in there\n")
    assert read_record(Path("there"), ATTRIBUTION_FILE, Attribution) == attribution
    monkeypatch.setenv("DESCEND_LOG_LEVEL", "error")
    assert library.attribute(*pair, seeds=1, workers=1).contributions == attribution.contributions
    assert capsys.readouterr() == ("", "")


def test_search_reports_progress(tiny: dict[str, Any], capsys: CaptureFixture) -> None:
    pytest.importorskip("optuna")

    def searched(**more: Any) -> None:
        library.search(
            tiny | {"epoch": None} | more, minutes=30, over={"learning_rate": [0.0001, 0.003]},
            match="steps", budget=20, seeds=2, workers=1,
        )  # fmt: skip

    searched(save_dir="study")
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "searching learning_rate 0.0001, 0.003"
    assert lines[2].startswith("about 30 min 00 s in total: ")
    assert any(line.startswith("trial 2, ") for line in lines)
    assert lines[-1] == "saved in study"
    searched(save_dir="quiet", log_level="error")
    assert capsys.readouterr().err == ""
