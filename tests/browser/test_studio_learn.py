"""Diagnosis, improve and the course in a real browser, with real trials and trainings.

With STUDIO_SCREENSHOTS set to a folder, the slow tests write pictures of each screen there.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from descend.api.lessons import run_lesson
from descend.runs.event_log import EventLog
from descend.runs.events import Step, TrainingStarted
from descend.runs.lock import lock_run_folder

from ..web.studio_server import TINY_SETTINGS, RunningStudio, Studios
from .conftest import broken_rules, take_pictures, words
from .made_records import write_made_diagnosis, write_made_improvement

pytest.importorskip("fastapi", reason="the extra `studio` is not installed")


@pytest.fixture
def with_run(studios: Studios, tmp_path: Path, trained: Path) -> RunningStudio:
    """A studio over one finished run."""
    (tmp_path / "work" / "models").mkdir(parents=True)
    shutil.copytree(trained, tmp_path / "work" / "models" / "first")
    return studios.start(tmp_path / "work")


@pytest.mark.parametrize(
    "width", [390, 1280, *(pytest.param(w, marks=pytest.mark.slow) for w in (1920, 3840))]
)
def test_new_screens_are_accessible_at_every_width(
    enter: Any, with_run: RunningStudio, width: int
) -> None:
    visitor, page = enter(with_run, width=width), None
    page = visitor.page
    for screen, part in (
        ("learn", ".lesson"), ("learn/rate", ".choice-line"),
        ("diagnosis/first", "#improve-minutes"),
    ):  # fmt: skip
        visitor.go(screen)
        page.locator(part).first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == width, screen
        assert broken_rules(visitor) == [], screen
        take_pictures(visitor, screen.replace("/", "-"))
        page.set_viewport_size({"width": width, "height": 900})
    assert visitor.errors == []


def test_lesson_is_predicted_by_keyboard_alone(enter: Any, with_run: RunningStudio) -> None:
    page = enter(with_run).page
    page.goto(f"{with_run.address}/#/learn/rate")
    page.locator(".choice-line").first.wait_for()
    assert page.get_by_role("button", name="Find out").is_disabled()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "radio":
            break
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    assert page.locator(".choice-line.chosen").inner_text().strip() == "Middle: 0.001"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Find out"


def test_done_lesson_shows_the_answer_beside_the_prediction(
    enter: Any, with_run: RunningStudio, text_file: Path
) -> None:
    folder = with_run.folder / ".studio" / "lessons"
    run_lesson("model", str(text_file), folder / "model-1")
    (folder / "progress.json").write_text(
        '{"model": {"attempt": "model-1", "text": "stories", "prediction": 0}}'
    )
    visitor = enter(with_run)
    visitor.go("learn")
    assert "1 of 8 done" in visitor.page.locator("main").inner_text()
    visitor.go("learn/model")
    visitor.page.locator(".measured").wait_for()
    said = visitor.page.locator(".measured").inner_text()
    assert "You predicted" in said
    assert "Tokens guessed right: " in said
    visitor.page.locator(".chart svg").wait_for()
    assert broken_rules(visitor) == []
    assert visitor.errors == []


def test_live_card_names_what_is_wrong_and_queues_the_fix(
    enter: Any, with_run: RunningStudio
) -> None:
    run = with_run.folder / "models" / "first"
    with lock_run_folder(run):
        (run / "events.jsonl").unlink()
        log = EventLog(run)
        log.append(TrainingStarted(0, "2026-01-01T00:00:00+00:00"))
        for step in range(1, 2000):
            loss = 5.6 - 0.0001 * step + (step * 7919 % 1000) / 10_000
            log.append(Step(step, 1, loss, 0.01, 1e-5, 1.0, clipped=False, seconds=0.01))
        visitor = enter(with_run)
        visitor.go("run/first")
        card = visitor.page.locator(".warn-card")
        card.wait_for()
        said = words(card)
        assert "learning rate too low" in said
        assert "% sure" in said
        assert re.search(r"learning_rate = \S+", said)
        assert broken_rules(visitor) == []
        take_pictures(visitor, "live-card")
        card.get_by_role("button", name=re.compile("Try the fix")).click()
        visitor.page.locator(".toast").get_by_text("animals").wait_for()
        log.close()
    config = next((with_run.folder / ".studio" / "jobs").glob("*.config.json")).read_text()
    assert '"learning_rate":' in config


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_answers_are_accessible_at_every_width(
    enter: Any, with_run: RunningStudio, width: int
) -> None:
    run = with_run.folder / "models" / "first"
    write_made_diagnosis(run)
    write_made_improvement(with_run.folder / "improvements" / "first", str(run))
    visitor = enter(with_run, width=width)
    page = visitor.page
    visitor.go("diagnosis/first")
    page.get_by_role("region", name="Answer").wait_for()
    page.get_by_text("Where the gain comes from").wait_for()
    said = words(page.locator("main"))
    assert "97 % sure" in said
    assert "0.360 bits per byte less" in said
    assert page.locator(".range").count() >= 2
    page.get_by_text("Other measurements").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert broken_rules(visitor) == []
    take_pictures(visitor, "made-answers")
    visitor.go("run/first")
    page.locator(".warn-card").wait_for()
    assert "Trials have shown it" in page.locator(".warn-card").inner_text()
    assert visitor.errors == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_lesson_one_runs_and_shows_again_after_a_reload(
    enter: Any, with_run: RunningStudio
) -> None:
    visitor = enter(with_run)
    page = visitor.page
    page.goto(f"{with_run.address}/#/learn")
    page.get_by_role("link", name=re.compile("What a model is")).click()
    page.locator(".choice-line").nth(1).click()
    page.get_by_role("button", name="Find out").click()
    page.locator(".chart svg").wait_for(timeout=900_000)
    page.reload()
    page.locator(".chart svg").wait_for()
    take_pictures(visitor, "learn-running")
    page.locator(".measured").wait_for(timeout=900_000)
    assert "5 % to 25 %" in page.locator(".versus").inner_text()
    assert broken_rules(visitor) == []
    take_pictures(visitor, "learn-done")
    page.get_by_role("link", name="Next lesson").click()
    page.get_by_role("heading", name="Tokens").wait_for()
    page.get_by_role("link", name="All lessons").click()
    page.get_by_text("1 of 8 done").wait_for()
    take_pictures(visitor, "learn-course")
    assert visitor.errors == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_diagnosis_shows_trials_and_an_answer_after_a_reload(
    enter: Any, studios: Studios, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    studio = studios.start(folder)
    settings = TINY_SETTINGS | {"epoch": 1, "learning_rate": 0.00003, "sample_size": 60}
    studio.ask("POST", "/runs", {"text": "stories", "settings": settings})
    studio.wait_for_state("stories-1", "finished", seconds=3000)
    visitor = enter(studio)
    page = visitor.page
    page.set_default_timeout(3_000_000)
    page.goto(f"{studio.address}/#/run/stories-1")
    page.get_by_role("link", name=re.compile("Why not better")).click()
    page.get_by_role("button", name="Find out why").click()
    page.get_by_text("What each change does, so far").wait_for()
    page.reload()
    page.get_by_text("What each change does, so far").wait_for()
    take_pictures(visitor, "diagnosis-running")
    page.get_by_role("region", name="Answer").wait_for()
    assert broken_rules(visitor) == []
    take_pictures(visitor, "diagnosis")
    assert visitor.errors == []
