"""A model for others, a text made of others, a shared tokenizer, and trials of a program, against
a real server."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from descend.guard import is_alive

from ..interop.test_hub import Hub
from ..program_trials.programs import REGRESSION
from .studio_server import TINY_SETTINGS, Studios, copy_run
from .test_experiment_api import key_headers
from .test_improve_api import wait_for

FLAGS = {"learning_rate": "--lr=0.0033", "batch_size": "--batch-size=8", "max_steps": "--steps=300"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A hub on this machine, to which what a studio starts is logged in."""
    Hub.created.clear()
    Hub.files.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    yield "me/model"
    server.shutdown()
    server.server_close()


@pytest.mark.timeout(900)
def test_model_and_export_are_uploaded(
    hub: str, studios: Studios, tmp_path: Path, trained: Path
) -> None:
    pytest.importorskip("huggingface_hub", reason="the extra `hub` is not installed")
    studio = studios.start(tmp_path)
    copy_run(trained, studio.folder)
    status, pushed = studio.ask("POST", "/runs/first/push", {"repository": hub})
    assert status == 201, pushed
    assert (pushed["repository"], pushed["private"]) == (hub, True)
    assert set(pushed["files"]) == Hub.files.keys()
    assert "events.jsonl" not in Hub.files  # it quotes the text
    body = {"repository": hub, "format": "safetensors"}
    assert studio.ask("POST", "/runs/first/push", body)[0] == 404  # not exported yet
    assert studio.ask("POST", "/runs/first/export", {"format": "safetensors"})[0] == 201
    Hub.files.clear()
    assert studio.ask("POST", "/runs/first/push", body)[0] == 201
    assert "model.safetensors" in Hub.files


@pytest.mark.parametrize(
    "repository", ["--public", "-x/y", "name", "a/b/c", "../b", "a/..", "a/b\n", "a b/c", ""]
)
def test_repository_that_is_no_name_is_refused(services: Any, ask: Any, repository: str) -> None:
    body = json.dumps({"repository": repository}).encode()
    assert ask("POST", "/api/v1/runs/none/push", key_headers(services), body)[0] == 422


@pytest.mark.timeout(900)
def test_model_is_served_until_it_is_stopped(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder)
    assert studio.ask("GET", "/runs/first/server")[1]["state"] == "stopped"
    assert studio.ask("POST", "/runs/first/server/stop")[0] == 404
    assert studio.ask("POST", "/runs/first/server")[0] == 202
    assert studio.ask("POST", "/runs/first/server")[0] == 409
    served = wait_for(lambda: serving(studio), seconds=300)
    request = urllib.request.Request(
        f"{served['url']}/completions", method="POST",
        data=json.dumps({"model": "first", "prompt": "The", "max_tokens": 4}).encode(),
        headers={"Authorization": f"Bearer {served['key']}", "Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=300) as response:
        assert json.load(response)["choices"][0]["text"]
    assert served["url"].startswith("http://127.0.0.1:")
    (job,) = studio.ask("GET", "/workspace")[1]["jobs"]
    assert (job["kind"], job["text"]) == ("serve", "first")
    status, refusal = studio.ask("DELETE", "/runs/first")
    assert (status, "a model that is served" in refusal["error"]["message"]) == (409, True)
    assert studio.ask("POST", "/runs/first/server/stop")[0] == 200
    wait_for(lambda: studio.ask("GET", "/workspace")[1]["jobs"] == [], seconds=60)
    assert studio.ask("GET", "/runs/first/server")[1] == {
        "state": "stopped", "url": None, "key": None, "problem": None,
    }  # fmt: skip
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(request, timeout=10)


def serving(studio: Any) -> Any:
    answer = studio.ask("GET", "/runs/first/server")[1]
    assert answer["state"] in ("starting", "serving"), answer
    return answer if answer["state"] == "serving" else None


def test_served_model_holds_up_no_training(services: Any) -> None:
    from descend.web.studio.jobs import Job

    jobs = services.jobs
    jobs.max_running = 1
    for run, kind in (("a", "train"), ("serve+b", "serve"), ("c", "train"), ("serve+d", "serve")):
        jobs.add(Job(run=run, kind=kind, arguments=["chat", "--no-such"]))
    begun = {job.run for job in jobs.all() if job.began_at is not None}
    assert begun >= {"a", "serve+b", "serve+d"}
    wait_for(lambda: (jobs.refresh(), not jobs.active())[1], seconds=120)


def test_texts_become_one_without_duplicates(studio: Any) -> None:
    sentence = b"The quick brown fox jumps over the lazy dog, again and again.\n"
    for name, content in (("a.txt", sentence), ("b.txt", sentence), ("c.txt", b"Short.\n")):
        studio.ask("PUT", f"/texts/{name}", content)
    body = {"sources": ["a.txt", "b.txt", "c.txt"], "min_length": 10}
    status, made = studio.ask("POST", "/texts/all/additions", body)
    assert status == 201, made
    assert (made["documents"], made["exact_duplicates"], made["too_short"]) == (1, 1, 1)
    assert str(studio.folder) not in json.dumps(made)
    texts = {text["name"]: text for text in studio.ask("GET", "/texts")[1]["texts"]}
    assert texts["all"]["files"] == 1
    for name, sources, expected in (
        ("stories", ["a.txt"], 409), ("a.txt", ["b.txt"], 409), ("new", ["none"], 404),
        ("..", ["a.txt"], 400), ("new", [], 422), ("new", ["../models"], 404),
    ):  # fmt: skip
        status, answer = studio.ask("POST", f"/texts/{name}/additions", {"sources": sources})
        assert status == expected, (name, answer)


@pytest.mark.timeout(900)
def test_runs_share_a_tokenizer(studio: Any, text_file: Path) -> None:
    studio.ask("PUT", "/texts/animals.txt", text_file.read_bytes())
    body = {"text": "animals.txt", "settings": {"vocab_size": 280}}
    status, made = studio.ask("POST", "/tokenizers/shared", body)
    assert (status, made["vocab_size"]) == (201, 280), made
    assert studio.ask("POST", "/tokenizers/shared", body)[0] == 409
    assert [one["name"] for one in studio.ask("GET", "/tokenizers")[1]["tokenizers"]] == ["shared"]
    other = {"text": "animals.txt", "settings": {"embed_dim": 8}}
    assert studio.ask("POST", "/tokenizers/other", other)[0] == 422  # no setting of a tokenizer
    settings = {k: v for k, v in TINY_SETTINGS.items() if k != "vocab_size"} | {"max_steps": 2}
    start = {"text": "animals.txt", "settings": settings}
    assert studio.ask("POST", "/runs", start | {"tokenizer_file": "none"})[0] == 404
    _, started = studio.ask("POST", "/runs", start | {"tokenizer_file": "shared"})
    studio.wait_for_state(started["run"], "finished", seconds=300)
    made_file = studio.folder / "tokenizers" / "shared.json"
    used = studio.folder / "models" / started["run"] / "tokenizer.json"
    assert json.loads(used.read_text())["model"] == json.loads(made_file.read_text())["model"]


@pytest.mark.timeout(900)
def test_program_is_diagnosed_by_trials_of_its_flags(studio: Any) -> None:
    (studio.folder / "code").mkdir()
    (studio.folder / "code" / "train.py").write_text(REGRESSION.replace("=0.1)", "=0.0033)"))
    where = "/checks/programs/trials"
    query = f"{where}?folder=code&file=train.py"
    assert studio.ask("GET", query)[1] == {"state": "none"}
    body = {"folder": "code", "file": "train.py", "metric": "val loss", "flags": FLAGS}
    status, refusal = studio.ask("POST", where, body | {"flags": {"learning_rate": "--lr=1"}})
    assert (status, "max_steps" in refusal["error"]["message"]) == (422, True)
    assert studio.ask("POST", where, body)[0] == 202
    (job,) = studio.ask("GET", "/workspace")[1]["jobs"]
    assert (job["kind"], job["text"]) == ("program", "code/train.py")
    answer = wait_for(lambda: ended(studio, query), seconds=600)
    assert (answer["state"], answer["verdict"]) == ("finished", "learning_rate_too_low"), answer
    assert answer["sentences"][0].startswith("Cause: learning rate too low")
    (advice,) = [line for line in answer["sentences"] if line.startswith("Try: ")]
    assert advice.startswith("Try: python code/train.py ")
    assert " --lr=" in advice
    assert list((studio.folder / "code").iterdir()) == [studio.folder / "code" / "train.py"]
    (studio.folder / "code" / "train.py").write_text("print('val loss', 1 / 0)")
    assert studio.ask("POST", where, body)[0] == 202
    answer = wait_for(lambda: ended(studio, query), seconds=300)
    assert (answer["state"], "ZeroDivision" in answer["problem"]) == ("failed", True), answer


def ended(studio: Any, query: str) -> Any:
    answer = studio.ask("GET", query)[1]
    return None if answer["state"] in ("waiting", "running") else answer


def test_trials_of_a_program_are_stopped(studio: Any) -> None:
    (studio.folder / "train.py").write_text("import time\ntime.sleep(600)\n")
    body = {"file": "train.py", "metric": "loss", "flags": FLAGS}
    assert studio.ask("POST", "/checks/programs/trials", body)[0] == 202
    query = "/checks/programs/trials?file=train.py"
    wait_for(lambda: studio.ask("GET", query)[1]["state"] == "running", seconds=60)
    pid = next(json.loads(file.read_text().partition("\n")[2])["pid"]
               for file in (studio.folder / ".studio" / "jobs").glob("*.job"))  # fmt: skip
    assert studio.ask("POST", "/checks/programs/trials/stop", {"file": "train.py"})[0] == 200
    wait_for(lambda: ended(studio, query), seconds=120)
    assert not is_alive(pid)
    assert ended(studio, query) == {"state": "stopped", "problem": None}


def test_no_program_from_elsewhere_is_tried(services: Any, ask: Any) -> None:
    headers, root = key_headers(services), services.workspace.root
    for folder in ("texts", "checks", "tokenizers"):
        (root / folder).mkdir()
        (root / folder / "train.py").write_text("print()")
    (root.parent / "outside.py").write_text("print()")
    (root / "linked.py").symlink_to(root.parent / "outside.py")
    good = {"metric": "loss", "flags": {"learning_rate": "--lr=0.1", "max_steps": "--steps=9"}}
    for place in (
        {"file": "linked.py"}, {"folder": "texts", "file": "train.py"},
        {"folder": "checks", "file": "train.py"}, {"folder": "tokenizers", "file": "train.py"},
        {"file": "../outside.py"}, {"folder": "..", "file": "outside.py"}, {"file": "none.py"},
    ):  # fmt: skip
        content = json.dumps(good | place).encode()
        assert ask("POST", "/api/v1/checks/programs/trials", headers, content)[0] == 404, place
    (root / "train.py").write_text("print()")
    for odd in (
        {"metric": "--json"}, {"metric": ""}, {"flags": {"learning_rate": "--lr=$(id)"}},
        {"flags": {"learning_rate": "; id"}}, {"flags": {"save_dir": "--out=/etc"}},
        {"seeds": 1}, {"trial_seconds": 0}, {"command": "id"},
    ):  # fmt: skip
        content = json.dumps({"file": "train.py"} | good | odd).encode()
        assert ask("POST", "/api/v1/checks/programs/trials", headers, content)[0] == 422, odd
    assert services.jobs.all() == []
