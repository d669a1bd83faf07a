"""Improve from the page to a talk with the better model, with a server that ends on the way."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ..web.studio_server import TINY_SETTINGS, RunningStudio, Studios
from .conftest import SECONDS, Visitor, broken_rules, take_pictures, words
from .shown_workspace import made_text

pytest.importorskip("fastapi", reason="the extra `studio` is not installed")

QUIET_MINUTES = 3.0
"""Of an improvement on a machine that does nothing else: enough for a training, trials, and another
training of so short a text."""

MAX_MINUTES = 10.0
"""Of an improvement on any machine: with more it trains model after model."""

MAX_WAIT = 3 * 3600 * SECONDS
"""Milliseconds that a step may take on a machine that many others use."""


def busyness() -> float:
    """How many seconds a second of processor time takes on this machine now."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return max(1.0, (time.perf_counter() - began) / used)


def improve_minutes() -> float:
    """Minutes in which this machine, as busy as it is, does the work of `QUIET_MINUTES`."""
    return min(QUIET_MINUTES * busyness(), MAX_MINUTES)


def start_with_a_weak_run(studios: Studios, folder: Path) -> RunningStudio:
    """A studio with a finished run that learned far too slowly."""
    folder.mkdir()
    studio = studios.start(folder)
    studio.ask("PUT", "/texts/nouns.txt", made_text())
    settings = TINY_SETTINGS | {"max_steps": 60, "learning_rate": 0.00003}
    studio.ask("POST", "/runs", {"text": "nouns.txt", "settings": settings})
    studio.wait_for_state("nouns-1", "finished", seconds=MAX_WAIT / SECONDS)
    return studio


def choose_minutes(page: Any) -> None:
    """Choose the time that this machine needs."""
    options = page.locator("#improve-minutes option")
    choices = options.evaluate_all("all => all.map((option) => Number(option.value))")
    needed = improve_minutes()
    minutes = next(m for m in choices if m >= needed)
    page.locator("#improve-minutes").select_option(str(minutes))


def open_page(enter: Any, studio: RunningStudio) -> Visitor:
    visitor = enter(studio)
    visitor.page.set_default_timeout(MAX_WAIT)
    visitor.page.goto(f"{studio.address}/#/diagnosis/nouns-1")
    return visitor


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_improvement_ends_in_a_talk_though_the_server_was_killed(
    enter: Any, studios: Studios, tmp_path: Path
) -> None:
    studio = start_with_a_weak_run(studios, tmp_path / "work")
    page = open_page(enter, studio).page
    page.locator("#improve-minutes").wait_for()
    choose_minutes(page)
    page.get_by_role("button", name=re.compile("Improve for")).click()
    page.get_by_text("First your run is measured").wait_for()
    page.get_by_text("The best model over time").wait_for()
    studio.kill()
    page.get_by_text("does not answer").first.wait_for()
    again = studios.start(studio.folder)
    visitor = open_page(enter, again)
    page = visitor.page
    page.get_by_text("The best model over time").wait_for()
    page.get_by_text("The models, one after the other").wait_for()
    cards = page.locator(".models .model")
    cards.filter(has_text="model_1").filter(has_text="best so far").wait_for()
    assert "nouns-1" in words(cards.first)
    take_pictures(visitor, "improve-running")
    keep = page.get_by_role("button", name="Put the best model among your runs")
    keep.wait_for()
    assert "the best" in words(page.locator(".model.best"))
    improvement = again.ask("GET", "/runs/nouns-1/improvement")[1]
    assert [model["name"] for model in improvement["models"]][:2] == ["nouns-1", "model_1"]
    assert cards.count() == len(improvement["models"])
    for place, model in enumerate(improvement["models"]):
        assert f"{model['bits_per_byte']:.3f}" in words(cards.nth(place))
        assert all(teacher in words(cards.nth(place)) for teacher in model["teachers"])
    bests = [point["best"] for point in improvement["points"]]
    assert bests == sorted(bests, reverse=True)
    assert bests[-1] < bests[0]
    gains = sum(step["gain"] for step in improvement["waterfall"])
    assert abs(gains - (improvement["first"] - improvement["best"]["bits_per_byte"])) < 1e-6
    waterfall = page.get_by_role("img", name=re.compile(r"^From \d"))
    assert f"to {improvement['best']['bits_per_byte']:.3f} bits per byte" in (
        waterfall.get_attribute("aria-label")
    )
    assert "bits per byte less than your run" in words(page.locator("main"))
    assert broken_rules(visitor) == []
    take_pictures(visitor, "improve")
    keep.click()
    page.get_by_role("heading", name="nouns-1-better-1").wait_for()
    page.get_by_role("link", name="Talk to it").click()
    page.fill("#prompt", "The ")
    page.get_by_role("button", name="Write on").click()
    page.locator(".answer .token").nth(5).wait_for()
    assert visitor.errors == []
