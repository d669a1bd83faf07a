"""The interface, against a real server: what a script does with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from descend.errors import UserError
from descend.runs.lock import lock_run_folder
from descend.runs.planned_models import write_plan
from descend.web.address import is_loopback
from descend.web.studio.curve import thin
from descend.web.studio.feed import Cursor, RunFeed
from descend.web.studio.server import check_host
from descend.web.studio.settings import check_settings, setting_fields

from ..browser.made_records import write_many_runs
from .studio_server import TINY_SETTINGS, copy_run

HOSTILE = '<img src=x onerror="hacked=1"><script>hacked=1</script>'


def test_a_finished_run_has_a_row_details_and_a_curve(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder, "first")
    status, answer = studio.ask("GET", "/runs")
    assert status == 200
    (row,) = answer["runs"]
    assert (row["name"], row["state"], row["can_talk"]) == ("first", "finished", True)
    _, details = studio.ask("GET", "/runs/first")
    summary = json.loads((trained / "summary.json").read_text())
    assert details["summary"]["validation_loss"] == summary["validation_loss"]
    assert details["sentence"].startswith("It ")
    assert set(details["baselines"]) >= {"uniform", "unigram", "bigram"}
    assert f"bigram {details['baselines']['bigram']:.2f}" in details["baselines_text"]
    _, curve = studio.ask("GET", "/runs/first/curve?points=10")
    assert len(curve["points"]) <= 10
    assert curve["points"][-1][0] == details["num_steps"] == curve["num_steps"]
    assert [e["epoch"] for e in curve["epochs"]] == [1, 2]


def test_rows_hold_the_settings_that_are_not_alike(studio: Any, trained: Path) -> None:
    write_many_runs(trained, studio.folder / "models", 2)
    rows = {row["name"]: row["settings"] for row in studio.ask("GET", "/runs")[1]["runs"]}
    assert rows == {
        "sweep-1": {"batch_size": 8, "learning_rate": 0.0006},
        "sweep-2": {"batch_size": 16, "learning_rate": 0.0012},
    }


def watch(studio: Any, name: str) -> Any:
    """The stream of events of the run `name`."""
    request = urllib.request.Request(
        f"{studio.address}/api/v1/runs/{name}/events",
        headers={"Authorization": f"Bearer {studio.key}"},
    )
    return urllib.request.urlopen(request, timeout=600)


def test_events_end_when_the_run_is_deleted(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder, "first")
    run = studio.folder / "models" / "first"
    (run / "events.jsonl").unlink()
    with lock_run_folder(run), watch(studio, "first") as response:
        while response.readline() != b"event: state\n":
            pass
        run.rename(studio.folder / "elsewhere")
        assert response.read().endswith(b"event: end\ndata: {}\n\n")


def test_studio_ends_without_a_word_when_a_page_is_open(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder, "first")
    run = studio.folder / "models" / "first"
    (run / "events.jsonl").unlink()
    with lock_run_folder(run), watch(studio, "first") as response:
        response.readline()
        printed = studio.terminal.read_text()
        studio.process.terminate()
        studio.process.wait(timeout=60)
    assert studio.terminal.read_text() == printed


def test_events_of_a_finished_run_end(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder, "first")
    with watch(studio, "first") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        text = response.read().decode()
    kinds = [line.removeprefix("event: ") for line in text.splitlines() if line[:6] == "event:"]
    assert kinds == ["news", "state", "end"]
    news = json.loads(text.splitlines()[1].removeprefix("data: "))
    assert news["reset"]
    assert news["points"]
    assert news["samples"][0]["text"]


def test_text_comes_token_by_token_with_probabilities(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder, "first")
    body = {"prompt": "The cat", "max_new_tokens": 12, "seed": 3}
    request = urllib.request.Request(
        f"{studio.address}/api/v1/runs/first/generate", json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {studio.key}", "Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=600) as response:
        tokens = [t for line in response for t in json.loads(line)["tokens"]]
    from descend import load

    text = "The cat" + "".join(token["text"] for token in tokens)
    assert text == load(trained).predict("The cat", 12, seed=3)
    for token in tokens:
        likely = [one["probability"] for one in token["alternatives"]]
        assert likely == sorted(likely, reverse=True)
        assert 0 <= token["probability"] <= likely[0] + 1e-6
    status, answer = studio.ask("POST", "/runs/first/generate", body | {"temperature": 0})
    assert (status, "temperature" in answer["error"]["message"]) == (422, True)


def test_unfinished_run_talks_from_its_newest_checkpoint(studio: Any, trained: Path) -> None:
    folder = studio.folder / "models" / "first"
    shutil.copytree(trained, folder)
    (folder / "model.safetensors").unlink()
    details = studio.ask("GET", "/runs/first")[1]
    assert (details["can_talk"], details["has_model"]) == (True, False)
    status, model = studio.ask("GET", "/runs/first/model")
    assert status == 200, model
    assert model["parameters"] == details["parameters"]
    shutil.rmtree(folder / "checkpoints")
    assert not studio.ask("GET", "/runs/first")[1]["can_talk"]
    assert studio.ask("GET", "/runs/first/model")[0] == 422


def test_delete_moves_to_the_trash_and_undo_brings_back(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder, "first")
    folder = studio.folder / "models" / "first"
    before = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    status, deleted = studio.ask("DELETE", "/runs/first")
    assert (status, folder.exists()) == (200, False)
    assert studio.ask("GET", "/runs")[1]["runs"] == []
    assert [d["run"] for d in studio.ask("GET", "/trash")[1]["deleted"]] == ["first"]
    assert studio.ask("POST", "/trash/restore", {"id": deleted["id"]}) == (200, {"run": "first"})
    after = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert after == before
    assert studio.ask("POST", "/trash/restore", {"id": deleted["id"]})[0] == 404
    assert studio.ask("POST", "/trash/restore", {"id": "../../models"})[0] == 404


def test_links_in_the_workspace_are_not_followed(
    studio: Any, trained: Path, tmp_path: Path
) -> None:
    copy_run(trained, tmp_path, "outside")
    (studio.folder / "models").mkdir()
    (studio.folder / "models" / "link").symlink_to(tmp_path / "models" / "outside")
    (studio.folder / "texts").mkdir()
    (studio.folder / "texts" / "secret.txt").symlink_to("/etc/passwd")
    assert studio.ask("GET", "/runs")[1]["runs"] == []
    for method, path in (
        ("GET", "/runs/link"), ("GET", "/runs/link/curve"), ("DELETE", "/runs/link"),
        ("GET", "/runs/link/model"), ("GET", "/texts/secret.txt/statistics"),
    ):  # fmt: skip
        assert studio.ask(method, path)[0] == 404, path
    assert "secret.txt" not in str(studio.ask("GET", "/texts"))
    assert studio.ask("POST", "/runs", {"text": "secret.txt"})[0] == 404
    assert studio.ask("PUT", "/texts/secret.txt", b"new")[0] == 201  # replaces the link itself
    assert (studio.folder / "texts" / "secret.txt").read_text() == "new"
    assert b"root" in Path("/etc/passwd").read_bytes()


def test_hostile_names_and_records_stay_data(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder, "first")
    events = studio.folder / "models" / "first" / "events.jsonl"
    with events.open("ab") as file:
        file.write(b'{"kind": "sample", "step": 1e999}\nnot json\n\xff\xfe\n{"kind":"step"')
    copy_run(trained, studio.folder, "broken")
    (studio.folder / "models" / "broken" / "run.json").write_text(HOSTILE)
    states = {r["name"]: r["state"] for r in studio.ask("GET", "/runs")[1]["runs"]}
    assert states == {"first": "finished", "broken": "unreadable"}
    assert studio.ask("GET", "/runs/first/curve")[0] == 200
    status, answer = studio.ask("GET", "/runs/broken")
    assert (status, "damaged" in answer["error"]["message"]) == (422, True)


@pytest.mark.slow
def test_a_bad_file_is_refused_in_a_sentence(studio: Any) -> None:
    assert studio.ask("PUT", "/texts/empty.txt", b"")[0] == 422
    assert studio.ask("PUT", "/texts/noise.pdf", bytes(range(256)) * 40)[0] == 201
    status, answer = studio.ask("GET", "/texts/noise.pdf/statistics")
    assert status == 422
    assert "noise.pdf" in answer["error"]["message"]
    assert [t["name"] for t in studio.ask("GET", "/texts")[1]["texts"]] == [
        "stories", "python", "noise.pdf",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_starts_stops_survives_the_server_and_goes_on(
    studio: Any, studios: Any, text_file: Path
) -> None:
    assert studio.ask("PUT", "/texts/animals.txt", text_file.read_bytes())[0] == 201
    body = {"text": "animals.txt", "settings": TINY_SETTINGS | {"epoch": 3000}}
    status, started = studio.ask("POST", "/runs", body)
    assert (status, started["run"]) == (201, "animals-1")
    second = studio.ask("POST", "/runs", body)[1]
    assert second == {"run": "animals-2", "state": "waiting"}
    studio.wait_for_state("animals-1", "running")
    assert studio.ask("DELETE", "/runs/animals-1")[0] == 409
    studio.kill()
    steps = RunFeed(studio.folder / "models" / "animals-1")
    steps.poll()
    before = steps.step
    again = studios.start(studio.folder)
    details = again.wait_for_state("animals-1", "running")
    until = time.monotonic() + 30
    while details["num_steps"] <= before + 50 and time.monotonic() < until:
        details = again.ask("GET", "/runs/animals-1")[1]
        time.sleep(0.2)
    assert details["num_steps"] > before + 50
    assert again.ask("POST", "/runs/animals-2/stop")[0] == 200  # out of the queue
    assert again.ask("POST", "/runs/animals-1/pause")[0] == 200
    paused = again.wait_for_state("animals-1", "paused")
    assert "paused" in paused["sentence"]
    again.kill()
    again = studios.start(studio.folder)
    still = again.wait_for_state("animals-1", "paused")
    assert still["num_steps"] == paused["num_steps"]
    assert still["job"]["pid"] == paused["job"]["pid"]
    assert again.ask("POST", "/runs/animals-1/pause")[0] == 409
    assert again.ask("DELETE", "/runs/animals-1")[0] == 409
    assert again.ask("POST", "/runs/animals-1/resume")[0] == 200
    assert again.wait_for_state("animals-1", "running")["job"]["pid"] == paused["job"]["pid"]
    assert again.ask("POST", "/runs/animals-1/stop")[0] == 200
    stopped = again.wait_for_state("animals-1", "stopped")
    assert [r["name"] for r in again.ask("GET", "/runs")[1]["runs"]] == ["animals-1"]
    assert again.ask("POST", "/runs/animals-1/resume")[0] == 200
    resumed = again.wait_for_state("animals-1", "running")
    assert resumed["num_steps"] >= stopped["num_steps"]
    again.ask("POST", "/runs/animals-1/stop")
    again.wait_for_state("animals-1", "stopped")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_cannot_start_says_why(studio: Any) -> None:
    studio.ask("PUT", "/texts/short.txt", b"too short")
    studio.ask("POST", "/runs", {"text": "short.txt", "settings": TINY_SETTINGS})
    details = studio.wait_for_state("short-1", "failed")
    assert details["sentence"].startswith("error: ")
    assert studio.ask("DELETE", "/runs/short-1") == (200, {"id": None, "run": "short-1"})
    assert studio.ask("GET", "/runs")[1]["runs"] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_plan_is_measured_once_and_then_quick(studio: Any, varied_text: Path) -> None:
    studio.ask("PUT", "/texts/words.txt", varied_text.read_bytes())
    body: dict[str, Any] = {"text": "words.txt", "minutes": 5}
    status, plan = studio.ask("POST", "/plan", body)
    assert status == 200, plan
    assert plan["predicted"]["bits_per_byte"] > 0
    began = time.perf_counter()
    longer = studio.ask("POST", "/plan", body | {"minutes": 60})[1]
    assert time.perf_counter() - began < 3
    # The sizes are searched in steps, so two equal plans may differ in the fifth digit.
    assert longer["predicted"]["bits_per_byte"] <= 1.001 * plan["predicted"]["bits_per_byte"]
    fixed = studio.ask("POST", "/plan", body | {"settings": {"num_layers": 3}})[1]
    assert fixed["config"]["num_layers"] == 3
    status, answer = studio.ask("POST", "/plan", body | {"settings": {"num_layers": 0}})
    assert (status, "num_layers" in answer["error"]["message"]) == (422, True)


def test_eight_viewers_get_the_same_curve(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder, "first")
    answers: list[int] = []

    def look() -> None:
        answers.append(len(studio.ask("GET", "/runs/first/curve")[1]["points"]))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1


def test_thinning_keeps_spikes_and_both_ends() -> None:
    points = [(n, 2.0 + n % 7 / 100, 2.0, 0.1) for n in range(100_000)]
    points[54_321] = (54_321, 99.0, 2.0, 0.1)
    points[12_345] = (12_345, 0.5, 2.0, 0.1)
    thinned = thin(points, 1500)
    assert len(thinned) <= 1500
    assert {points[0], points[-1], points[54_321], points[12_345]} <= set(thinned)
    assert thinned == sorted(thinned)
    assert thin(points[:10], 1500) == points[:10]


def test_feed_follows_a_growing_log_and_drops_what_was_undone(tmp_path: Path) -> None:
    from descend.runs.event_log import EventLog
    from descend.runs.events import Rollback, Step, TrainingStarted

    def step(n: int) -> Step:
        return Step(n, 1, 3.0, 0.1, 0.001, 1.0, clipped=False, seconds=0.1)

    log = EventLog(tmp_path)
    feed, cursor = RunFeed(tmp_path), Cursor()
    feed.poll()
    assert feed.step == 0
    log.append(TrainingStarted(0, "now"))
    for n in range(1, 6):
        log.append(step(n))
    feed.poll()
    news = feed.news(cursor)
    assert [p[0] for p in news["points"]] == [1, 2, 3, 4, 5]
    log.append(step(6))
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b'{"kind":"step","st')  # half a line, as while it is written
    feed.poll()
    news = feed.news(cursor)
    assert (news["reset"], [p[0] for p in news["points"]]) == (False, [6])
    log.close()
    log = EventLog(tmp_path)  # cuts the half line off, as a resume does
    log.append(TrainingStarted(3, "later"))
    log.append(step(4))
    log.append(Rollback(2, 4, "the loss was infinite", "skip", 1))
    feed.poll()
    news = feed.news(cursor)
    assert (news["reset"], [p[0] for p in news["points"]]) == (True, [1, 2])
    assert len(news["messages"]) == 1
    log.close()


def test_a_job_of_a_stranger_is_never_obeyed(services: Any) -> None:
    from descend.web.studio.jobs import Job, Jobs
    from descend.web.studio.signing import sign
    from descend.web.studio.workspace import Workspace

    jobs, folder = services.jobs, services.workspace.jobs
    jobs._save(Job(run="own", kind="train", arguments=["list"], queued_at=1.0, ended_at=2.0))
    assert set(Jobs(services.workspace)._load()) == {"own"}
    own = (folder / "own.job").read_bytes()
    content = own.partition(b"\n")[2]
    (folder / "plain.job").write_bytes(content.replace(b"own", b"plain"))
    (folder / "other.job").write_bytes(own.replace(b'"list"', b'"chat"'))
    (folder / "key.job").write_bytes(sign(content, services.workspace.root, b"k" * 32))
    assert set(Jobs(services.workspace)._load()) == {"own"}
    elsewhere = Workspace(services.workspace.root.parent / "elsewhere")
    elsewhere.make()
    shutil.copy(folder / "own.job", elsewhere.jobs)
    assert Jobs(elsewhere)._load() == {}


def test_address_that_others_reach_needs_a_password() -> None:
    for host in ("192.168.1.5", "example.org"):
        assert not is_loopback(host)
        for password in (None, "", "short"):
            with pytest.raises(UserError, match="password"):
                check_host(host, password)
        check_host(host, "long enough")
    for host in ("0.0.0.0", "::", ""):
        with pytest.raises(UserError, match="every address"):
            check_host(host, "long enough")
    for host in ("127.0.0.1", "localhost", "::1"):
        check_host(host, None)


def test_every_setting_of_the_form_has_a_sentence_a_range_and_a_page() -> None:
    fields = setting_fields()
    assert len(fields) > 25
    for field in fields:
        assert field["sentence"].endswith(".")
        assert field["has_page"], field["key"]
        assert field["range"] or field["kind"] in ("text", "boolean"), field["key"]
        assert field["kind"] in ("choice", "integer", "number", "boolean", "text")
        if field["default"] is not None and field["key"] != "schedule":
            check_settings({field["key"]: field["default"]})


def test_missing_packages_are_named_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "fastapi.py").write_text("raise ImportError('not here')\n")
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "descend", "studio"], capture_output=True, text=True, timeout=600,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 2
    assert "pip install 'descend[studio]'" in done.stderr
    assert not Path(".studio").exists()


def test_the_server_starts_without_torch() -> None:
    code = (
        "import descend.web.studio.server, sys; "
        "print(*[m for m in ('torch', 'pyarrow', 'scipy', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600
    )
    assert done.stdout.strip() == ""


def test_vendored_script_is_the_one_of_the_table() -> None:
    import hashlib
    import tomllib
    from importlib.resources import files

    vendor = files("descend.web.studio") / "static" / "vendor"
    table = tomllib.loads((vendor / "vendored.toml").read_text())
    code = (vendor / table["file"]).read_bytes()
    assert hashlib.sha256(code).hexdigest() == table["sha256"]
    assert len(code) == table["bytes"]
    assert all(p["license"] in ("MIT", "Apache-2.0") for p in table["packages"].values())


def test_models_of_one_training_are_named_in_each_of_them(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder, "first")
    for name in ("taught_teacher_1", "taught"):
        copy_run(trained, studio.folder, name)
    write_plan(studio.folder / "models/taught_teacher_1", {"minutes": 9.0, "num_models": 2})
    for name in ("taught_teacher_1", "taught"):
        assert studio.ask("GET", f"/runs/{name}")[1]["models"] == ["taught_teacher_1", "taught"]
    assert studio.ask("GET", "/runs/first")[1]["models"] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_run_stops_and_resumes_in_the_model_that_it_learns_from(
    studio: Any, varied_text: Path
) -> None:
    studio.ask("PUT", "/texts/varied.txt", varied_text.read_bytes())
    sizes = {"embed_dim": 32, "num_heads": 2, "num_layers": 2, "ff_dim": 64, "vocab_size": 512}
    body = {"text": "varied.txt", "minutes": 3.0, "settings": sizes}
    name = studio.ask("POST", "/runs", body)[1]["run"]
    teacher = f"{name}_teacher_1"
    until = time.monotonic() + 120
    while studio.ask("GET", f"/runs/{teacher}")[0] != 200 and time.monotonic() < until:
        time.sleep(0.2)
    details = studio.ask("GET", f"/runs/{name}")[1]
    assert details["state"] == "starting"
    assert teacher in details["sentence"]
    assert studio.ask("POST", f"/runs/{teacher}/stop")[0] == 200
    assert "can go on" in studio.wait_for_state(name, "stopped")["sentence"]
    assert studio.ask("POST", f"/runs/{name}/resume")[0] == 200
    assert studio.wait_for_state(name, "finished", seconds=240)["summary"]["finished"]
