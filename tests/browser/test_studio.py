"""The studio in a real browser, from an empty folder to a talk with a trained model."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from descend import run
from descend.runs.event_log import EventLog
from descend.runs.events import Sample

from ..web.studio_server import TINY_SETTINGS, RunningStudio, Studios
from .conftest import words

pytest.importorskip("fastapi", reason="the extra `studio` is not installed")

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


@pytest.fixture
def with_runs(studios: Studios, tmp_path: Path, trained: Path) -> RunningStudio:
    """A studio over two finished runs of one text, one of them in a folder of a hostile text."""
    models = tmp_path / "work" / "models"
    models.mkdir(parents=True)
    for name in ("first", "second"):
        shutil.copytree(trained, models / name)
    info = models / "second" / "run.json"
    text = re.sub(r',\n  "sha256": "\w+"\n}\s*$', "\n}", info.read_text())  # an edited one has none
    text = text.replace('"learning_rate": 0.001', '"learning_rate": 0.002')
    info.write_text(re.sub('"corpus": "[^"]*"', f'"corpus": "{HOSTILE_NAME}"', text))
    log = EventLog(models / "second")
    log.append(Sample(1, HOSTILE, HOSTILE))
    log.close()
    return studios.start(tmp_path / "work")


HOSTILE_NAME = "<img src=x onerror=window.hacked=1>"

SCREENS = {
    "start": "#minutes", "run/first": ".chart svg", "runs": "table", "talk/first": "#prompt",
    "diagnosis/first": "main button.big", "experiments": "#from", "experiments/search": "#from",
    "experiments/attribute": "#side-a", "check": ".drop", "handbook": ".pages button",
}  # fmt: skip


@pytest.mark.parametrize("dark", [False, True])
def test_every_screen_is_accessible_and_asks_nobody_else(
    enter: Any, with_runs: RunningStudio, dark: bool
) -> None:
    visitor, violations = enter(with_runs, dark=dark), list[tuple[str, ...]]()
    for screen, part in SCREENS.items():
        visitor.go(screen)
        visitor.page.locator(part).first.wait_for()
        if screen == "start":
            visitor.page.get_by_text("Settings", exact=True).click()
            visitor.page.get_by_role("button", name="All settings").click()
        if screen == "runs":
            visitor.page.get_by_label("Compare first").check()
            visitor.page.get_by_label("Compare second").check()
            visitor.page.locator("tr.differs").first.wait_for()
            visitor.page.locator(".chart svg").wait_for()
        violations += [(screen, *violation) for violation in visitor.violations()]
    assert violations == []
    assert visitor.errors == []
    hosts = {url.split("/")[2] for url in visitor.requests if not url.startswith("data:")}
    assert hosts == {with_runs.address.removeprefix("http://")}


@pytest.mark.parametrize("width", [390, 3840])
def test_no_screen_scrolls_sideways(enter: Any, with_runs: RunningStudio, width: int) -> None:
    visitor = enter(with_runs, width=width)
    for screen, part in SCREENS.items():
        visitor.go(screen)
        visitor.page.locator(part).first.wait_for()
        assert visitor.page.evaluate("document.documentElement.scrollWidth") == width, screen


def test_larger_text_fits_an_old_projector(enter: Any, with_runs: RunningStudio) -> None:
    visitor = enter(with_runs, width=1024)
    visitor.page.get_by_role("button", name="Larger text").click()
    for screen, part in SCREENS.items():
        visitor.go(screen)
        visitor.page.locator(part).first.wait_for()
        assert visitor.page.evaluate("document.documentElement.scrollWidth") == 1024, screen
        assert visitor.page.get_by_role("link", name="Learn", exact=True).is_visible()


def test_hostile_text_appears_as_text(enter: Any, with_runs: RunningStudio) -> None:
    visitor = enter(with_runs)
    for screen, visible_text in (
        ("runs", HOSTILE_NAME), ("run/second", HOSTILE),
        (f"run/{quote(HOSTILE, safe='')}", "not a plain one"),
    ):  # fmt: skip
        visitor.page.goto(f"{with_runs.address}/#/{screen}")
        visitor.page.locator("main").get_by_text(visible_text).first.wait_for()
    visitor.go("talk/first")
    visitor.page.fill("#prompt", HOSTILE)
    visitor.page.get_by_role("button", name="Write on").click()
    visitor.page.locator(".token").first.wait_for()
    assert HOSTILE in visitor.page.locator(".answer").inner_text()
    assert visitor.page.evaluate("window.hacked") is None
    assert visitor.page.locator("main img").count() == 0


def test_probabilities_open_and_another_token_goes_on_from_there(
    enter: Any, with_runs: RunningStudio
) -> None:
    page = enter(with_runs).page
    page.goto(f"{with_runs.address}/#/talk/first")
    page.fill("#prompt", "The cat")
    page.get_by_role("button", name="Write on").click()
    page.get_by_role("button", name="Write on").wait_for()  # done
    tokens = page.locator(".answer .token")
    first = tokens.nth(0).inner_text()
    tokens.nth(0).focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.classList.contains('token')")
    tokens.nth(1).click()
    choices = page.locator(".popover button")
    assert choices.count() == 5
    word = choices.nth(3).locator("span").first.inner_text()
    choices.nth(3).click()
    page.get_by_role("button", name="Write on").wait_for()
    assert tokens.nth(0).inner_text() == first
    assert tokens.nth(1).inner_text().strip() in word


def test_beginning_stays_when_it_was_written_on_before_another_one_came(
    enter: Any, with_runs: RunningStudio
) -> None:
    page, routes = enter(with_runs).page, list[Any]()
    page.route("**/api/v1/runs/first", lambda route: routes.append(route))
    page.goto(f"{with_runs.address}/#/talk/first")
    page.get_by_role("button", name="Write on").click()
    page.locator(".answer .token").first.wait_for()
    with page.expect_response("**/api/v1/runs/first"):
        routes[0].continue_()
    page.wait_for_timeout(500)
    assert page.input_value("#prompt") == page.locator(".given").inner_text() == "Once upon a time"


def test_deleted_run_comes_back_by_undo(enter: Any, with_runs: RunningStudio) -> None:
    page = enter(with_runs).page
    page.goto(f"{with_runs.address}/#/run/first")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("heading", name="Runs").wait_for()
    page.get_by_label("Compare second").wait_for()
    assert page.get_by_label("Compare first").count() == 0
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("heading", name="first").wait_for()
    assert (with_runs.folder / "models" / "first" / "run.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_an_empty_folder_to_a_talk(
    enter: Any, studios: Studios, tmp_path: Path, text_file: Path
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    studio = studios.start(folder)
    visitor = enter(studio)
    page = visitor.page
    start_a_run(page, text_file)
    name = page.locator("main h1").inner_text()
    assert name == "animals-1"
    steps = watch_it_learn(page)
    page.reload()
    page.locator(".chart svg").wait_for()
    assert read_step(page) >= steps
    studio.kill()
    page.get_by_text("does not answer").first.wait_for()
    again = studios.start(folder)
    other = enter(again).page
    other.goto(f"{again.address}/#/run/{name}")
    other.locator(".chart svg").wait_for()
    assert read_step(other) > steps
    other.get_by_role("button", name="Pause").click()
    other.locator(".state.paused").wait_for()
    assert other.evaluate("document.activeElement.innerText") == "Resume"  # a second click is safe
    other.keyboard.press("Enter")
    other.locator(".state.running").wait_for()
    other.get_by_role("button", name="Stop").click()
    other.get_by_role("button", name="Resume").click()
    other.locator(".state.running").wait_for()
    other.get_by_role("button", name="Stop").click()
    other.get_by_role("button", name="Resume").wait_for()


def start_a_run(page: Any, text_file: Path) -> None:
    """Drop a file, set a tiny network, and train."""
    page.set_input_files("input[type=file]", str(text_file))
    page.get_by_role("button", name=re.compile("animals.txt")).wait_for()
    page.get_by_text("Different tokens", exact=True).wait_for()
    page.get_by_text("Settings", exact=True).click()
    page.get_by_role("button", name="All settings").click()
    for key, value in TINY_SETTINGS.items():
        place = page.locator(f"#set-{key}")
        if key in ("precision", "attention", "compile"):
            place.select_option(str(value))
        else:
            place.fill(str(value))
    page.fill("#set-epoch", "100000")
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_role("heading", name="animals-1").wait_for()


def read_step(page: Any) -> int:
    """The step that the page shows."""
    text = page.locator("dt:text-is('Step') + dd").inner_text()
    return int(re.match(r"[\d,]+", text)[0].replace(",", ""))  # type: ignore[index]


def watch_it_learn(page: Any) -> int:
    """Wait until the curve grew and the text changed; the step."""
    page.locator(".chart svg").wait_for()
    first = read_step(page)
    page.wait_for_function(
        "before => parseInt([...document.querySelectorAll('dt')].find(d => d.innerText === 'Step')"
        ".nextSibling.innerText.replace(/,/g, '')) > before + 20", arg=first,
    )  # fmt: skip
    page.locator(".samples li").nth(1).wait_for()
    samples = page.locator(".samples li .sample").all_inner_texts()
    assert len(set(samples)) > 1
    return read_step(page)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_bad_file_is_refused_on_the_page(enter: Any, studios: Studios, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    bad, empty = tmp_path / "noise.pdf", tmp_path / "empty.txt"
    bad.write_bytes(bytes(range(256)) * 40)
    empty.write_bytes(b"")
    page = enter(studios.start(folder)).page
    page.set_input_files("input[type=file]", str(empty))
    page.locator(".toast").get_by_text("empty").wait_for()
    page.set_input_files("input[type=file]", str(bad))
    page.locator(".note.bad").first.wait_for()
    assert "noise.pdf" in page.locator(".note.bad").first.inner_text()


def test_two_runs_side_by_side_and_a_talk_in_turns(enter: Any, with_runs: RunningStudio) -> None:
    page = enter(with_runs).page
    page.goto(f"{with_runs.address}/#/runs")
    page.get_by_label("Compare first").check()
    page.get_by_label("Compare second").check()
    page.locator("tr.differs").first.wait_for()
    assert page.locator("tr.differs").all_inner_texts() == ["learning_rate\t0.001\t0.002"]
    page.fill("#search", "second")
    assert page.locator("table.cards tbody tr").count() == 1
    page.goto(f"{with_runs.address}/#/talk/first")
    page.get_by_role("button", name="Take turns").click()
    page.fill("#line", "The cat")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("button", name="New talk").wait_for()
    page.get_by_role("button", name="Send").wait_for()
    assert page.locator(".turn").count() == 2
    assert page.locator(".turn").nth(1).locator(".token").count() > 5


def test_result_stands_beside_its_baselines(enter: Any, with_runs: RunningStudio) -> None:
    visitor = enter(with_runs)
    visitor.go("run/first")
    said = visitor.page.get_by_text("Baseline loss (lower is better): random guess")
    said.wait_for()
    assert "unigram" in said.inner_text()
    assert "bigram" in said.inner_text()


def test_forecast_is_drawn_when_the_first_pass_has_not_ended(
    enter: Any, studios: Studios, tmp_path: Path, text_file: Path
) -> None:
    folder = tmp_path / "work" / "models" / "first"
    settings = TINY_SETTINGS | {"batch_size": 2, "epoch": 1, "corpus_dir": str(text_file)}
    run(settings | {"save_dir": str(folder)})
    for name in ("summary.json", "model.safetensors", "manifest.json"):
        (folder / name).unlink()
    shutil.rmtree(folder / "checkpoints")
    lines = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    (folder / "events.jsonl").write_text("".join(lines[: len(lines) * 3 // 4]))
    visitor = enter(studios.start(tmp_path / "work"))
    visitor.go("run/first")
    visitor.page.get_by_text("with 80 % certainty").wait_for()
    band = visitor.page.locator('.chart svg path[fill-opacity="0.18"]').bounding_box()
    assert band["width"] > 10
    assert band["height"] > 1
    said = words(visitor.page.locator("main"))
    assert "The shaded band is the forecast" in said
    assert "The dots are the validation set" not in said


def test_run_that_is_not_there_is_named_and_refused(enter: Any, with_runs: RunningStudio) -> None:
    visitor = enter(with_runs)
    for screen in ("run/third", "diagnosis/third"):
        visitor.go(screen)
        assert visitor.page.locator("main h1").inner_text() == "third"
        assert "third" in visitor.page.get_by_role("alert").inner_text()
    visitor.go("learn/nothing")
    visitor.page.get_by_role("alert").wait_for()


def test_accuracy_takes_the_place_of_the_loss(enter: Any, with_runs: RunningStudio) -> None:
    page = enter(with_runs).page
    page.goto(f"{with_runs.address}/#/run/first")
    curve = page.get_by_role("img", name=re.compile("^Loss over"))
    curve.wait_for()
    page.get_by_role("button", name="Accuracy").click()
    accuracy = page.get_by_role("img", name=re.compile("^Accuracy over"))
    accuracy.wait_for()
    assert curve.count() == 0
    epochs = with_runs.ask("GET", "/runs/first/curve")[1]["epochs"]
    said = accuracy.get_attribute("aria-label").replace("\xa0", " ")
    assert (
        f"Validation after step {epochs[-1]['step']}: {100 * epochs[-1]['accuracy']:.0f} %" in said
    )


def test_each_sampling_setting_is_sent(enter: Any, with_runs: RunningStudio) -> None:
    visitor = enter(with_runs)
    page = visitor.page
    page.goto(f"{with_runs.address}/#/talk/first")
    page.fill("#prompt", "The cat")
    page.get_by_text("More", exact=True).click()
    page.fill("#seed", "7")
    for key in ("min_p", "no_repeat_ngram_size", "repetition_penalty"):
        page.locator(f"#{key}").focus()
        page.keyboard.press("ArrowRight")
    page.get_by_text("Greedy: always the likeliest token").click()
    assert page.locator("#temperature").is_disabled()
    with page.expect_request(re.compile("/generate$")) as sent:
        page.get_by_role("button", name="Write on").click()
    body = sent.value.post_data_json
    assert body == {
        "prompt": "The cat", "max_new_tokens": 100, "temperature": 0.9, "top_k": 40, "top_p": 0.92,
        "min_p": 0.01, "repetition_penalty": 1.35, "no_repeat_ngram_size": 4, "greedy": True,
        "seed": 7,
    }  # fmt: skip
    page.get_by_role("button", name="Write on").wait_for()
    assert page.locator(".answer .token").count() > 5
    assert visitor.errors == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_plan_is_redrawn_when_dial_or_setting_moves(enter: Any, with_runs: RunningStudio) -> None:
    page = enter(with_runs).page
    page.set_default_timeout(1_200_000)
    page.goto(f"{with_runs.address}/#/start")
    page.get_by_role("button", name="stories").first.click()
    page.get_by_text("Expected result").wait_for()
    plan = page.locator("[aria-busy=false] .sentence")
    before = plan.inner_text()
    page.locator("#minutes").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "before => { const e = document.querySelector('[aria-busy=false] .sentence');"
        " return e && e.innerText !== before; }", arg=before,
    )  # fmt: skip
    page.get_by_text("Settings", exact=True).click()
    field = page.locator("#set-num_layers")
    about = page.locator("#about-num_layers").inner_text()
    assert "Range: " in about
    field.fill("1")
    plan.get_by_text("1 layer", exact=True).wait_for()
    page.get_by_role("button", name=re.compile("^More about .*layers", re.IGNORECASE)).click()
    page.get_by_role("dialog").locator("h3").first.wait_for()
    page.keyboard.press("Escape")
    go = page.get_by_role("button", name="Train", exact=True)
    assert go.evaluate("e => e.getBoundingClientRect().bottom <= innerHeight")
