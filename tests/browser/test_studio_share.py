"""What stands beside a run, a text, a program, and an experiment, in a real browser: serving,
uploading, one text of several, a shared tokenizer, trials of a program, and delete with undo."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from descend.artifacts import SEARCH_FILE
from descend.experiments.experiment_folder import write_record

from ..program_trials.programs import REGRESSION
from ..web.studio_server import RunningStudio, Studios
from .conftest import broken_rules, words
from .test_experiments import record

pytest.importorskip("fastapi", reason="the extra `studio` is not installed")


@pytest.fixture
def studio(
    studios: Studios, tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> RunningStudio:
    """A studio over a run, a search, and a training program; the hub cannot be reached."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    folder = tmp_path / "work"
    shutil.copytree(trained, folder / "models" / "first")
    (folder / "experiments" / "search-1").mkdir(parents=True)
    write_record(folder / "experiments" / "search-1", SEARCH_FILE, record("search"))
    (folder / "train.py").write_text(REGRESSION.replace("default=0.1)", "default=6.0)"))
    return studios.start(folder)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_model_is_served_and_a_refused_upload_is_a_sentence(
    enter: Any, studio: RunningStudio
) -> None:
    visitor = enter(studio)
    page = visitor.page
    visitor.go("run/first")
    page.locator(".tools summary", has_text="Serve it").click()
    page.get_by_role("button", name="Serve it", exact=True).click()
    page.get_by_text("OPENAI_BASE_URL=http://127.0.0.1").wait_for()
    page.get_by_text("serving first").wait_for()
    page.locator(".tools summary", has_text="Upload it").click()
    page.get_by_label("Repository").fill("me/model")
    page.get_by_role("button", name="Upload", exact=True).click()
    problem = page.locator(".tools .note.bad")
    problem.wait_for()
    assert any(part in words(problem) for part in ("a connection to the hub", "descend[hub]"))
    assert broken_rules(visitor) == []
    page.get_by_role("button", name="Stop serving").click()
    page.get_by_role("button", name="Serve it", exact=True).wait_for()
    assert [error for error in visitor.errors if "422" not in error and "500" not in error] == []


@pytest.mark.timeout(600)
def test_experiment_is_deleted_and_comes_back(enter: Any, studio: RunningStudio) -> None:
    visitor = enter(studio)
    page = visitor.page
    visitor.go("experiments/search-1")
    page.get_by_role("button", name="Train the best one").wait_for()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("heading", name="Experiments", exact=True).wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Delete").wait_for()
    page.get_by_text("The best one", exact=True).wait_for()
    assert visitor.errors == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_texts_are_joined_and_a_tokenizer_is_made(
    enter: Any, studio: RunningStudio, text_file: Path
) -> None:
    visitor = enter(studio)
    page = visitor.page
    assert page.get_by_text("Make one text of several").count() == 0  # nothing to join yet
    for name in ("a.txt", "b.txt"):
        page.locator('input[type="file"]').set_input_files(
            {"name": name, "mimeType": "text/plain", "buffer": text_file.read_bytes()}
        )
        page.get_by_role("button", name=name).wait_for()
    page.locator("summary", has_text="Make one text").click()
    page.get_by_role("checkbox", name="a.txt").check()
    page.get_by_role("checkbox", name="b.txt").check()
    page.get_by_role("button", name="Make the text").click()
    page.get_by_text("are added to my corpus").wait_for()
    assert "1 duplicate," in words(page.locator("details", has_text="are added to my corpus"))
    page.locator("summary", has_text="Settings").click()
    page.locator("summary", has_text="Use one tokenizer").click()
    page.get_by_label("Different tokens").last.fill("280")
    page.get_by_role("button", name="Make a tokenizer").click()
    page.get_by_text("with the tokenizer shared").wait_for()
    assert broken_rules(visitor) == []
    page.get_by_role("button", name="guide", exact=True).click()
    assert page.locator("#set-num_heads").input_value() == "8"
    assert visitor.errors == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_program_is_tried_from_its_page(enter: Any, studio: RunningStudio) -> None:
    visitor = enter(studio)
    page = visitor.page
    visitor.go("check/program")
    page.locator("summary", has_text="Try changes").click()
    page.get_by_label("Loss that the program prints").fill("val loss")
    page.get_by_label("learning rate").fill("--lr=6.0")
    page.get_by_label("batch size").fill("--batch-size=8")
    page.get_by_label("max steps").fill("--steps=300")
    assert broken_rules(visitor) == []
    page.get_by_role("button", name="Start the trials").click()
    page.get_by_text("The trials run").wait_for()
    page.reload()  # they go on without the page
    page.get_by_text("Cause: learning rate too high").wait_for(timeout=600_000)
    assert "python train.py" in words(page.locator("main"))
    assert visitor.errors == []
