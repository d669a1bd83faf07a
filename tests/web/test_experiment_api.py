"""Experiments, checks, and what else can be done with a run, against a real server."""

from __future__ import annotations

import json
import shutil
import stat
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend.artifacts import SEARCH_FILE
from descend.experiments.experiment_folder import write_record
from descend.experiments.search.search_result import SearchResult
from descend.web.studio.checkable_files import list_files

from .studio_server import TINY_SETTINGS, copy_run
from .test_improve_api import wait_for

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "search"
TINY = TINY_SETTINGS | {"max_steps": 8}

BAD_PROGRAM = """\
import torch
torch.manual_seed(0)
model = torch.nn.Linear(4, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
batches = [(torch.randn(8, 4), torch.randint(0, 4, (8,))) for _ in range(4)]

def step(batch):
    x, y = batch
    loss = torch.nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss

if __name__ == "__main__":
    for batch in batches:
        step(batch)
"""


def key_headers(services: Any) -> dict[str, str]:
    """Of a script's request that the gate lets through."""
    return {"host": "127.0.0.1:9999", "authorization": f"Bearer {services.credentials.key}",
            "content-type": "application/json"}  # fmt: skip


def download(studio: Any, path: str) -> tuple[bytes, Any]:
    """The body and the headers of a file."""
    request = urllib.request.Request(
        f"{studio.address}/api/v1{path}", headers={"Authorization": f"Bearer {studio.key}"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.read(), response.headers


def finished(studio: Any, name: str) -> Any:
    answer = studio.ask("GET", f"/experiments/{name}")[1]
    assert answer["state"] not in ("failed", "stopped"), answer["log"]
    return answer if answer["state"] == "finished" else None


@pytest.mark.timeout(900)
def test_comparison_shows_its_trials_and_then_its_result(studio: Any, text_file: Path) -> None:
    studio.ask("PUT", "/texts/animals.txt", text_file.read_bytes())
    body = {"text": "animals.txt", "settings": TINY, "vary": {"learning_rate": [0.001, 0.02]},
            "seeds": 2}  # fmt: skip
    status, answer = studio.ask("POST", "/experiments/comparisons", body)
    assert (status, answer) == (202, {"experiment": "compare-1"})
    (job,) = studio.ask("GET", "/workspace")[1]["jobs"]
    assert (job["run"], job["kind"]) == ("experiment+compare-1", "compare")
    assert studio.ask("GET", "/runs")[1]["runs"] == []  # it is no run
    result = wait_for(lambda: finished(studio, "compare-1"), seconds=600)
    assert len(result["trials"]) == result["trials"][-1]["total"] == 4
    first, second = result["result"]["arms"]
    assert first["name"] == "learning_rate=0.001"
    assert (first["loss_reduction"], second["verdict"] != "first") == (None, True)
    assert result["arms"][1]["loss_reduction"]["value"] == pytest.approx(
        second["loss_reduction"]["value"]
    )
    assert result["sentence"]
    assert "learning_rate=0.001" in result["result"]["headline"]
    (row,) = studio.ask("GET", "/experiments")[1]["experiments"]
    assert (row["name"], row["kind"], row["state"]) == ("compare-1", "compare", "finished")
    status, written = studio.ask("POST", "/experiments/compare-1/report")
    assert (status, written["figures"] > 0) == (201, True)
    page, headers = download(studio, "/experiments/compare-1/report")
    assert len(page) == written["bytes"]
    assert headers["content-disposition"] == 'attachment; filename="compare-1.html"'
    assert headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(("kind", "body", "part"), [
    ("comparisons", {"text": "stories"}, "at least two"),
    ("comparisons", {"vary": {"learning_rate": [0.1, 0.2]}}, "neither a text nor a run"),
    ("comparisons", {"text": "stories", "vary": {"save_dir": ["a", "b"]}}, "studio sets itself"),
    ("comparisons", {"text": "stories", "vary": {"learning_rate": [0.1, -1]}}, "learning_rate"),
    ("comparisons", {"text": "stories", "vary": {"learning_rate": [1e-9 * n for n in range(1, 9)],
                                                 "batch_size": [2, 4]}}, "at most 8"),
    ("comparisons", {"runs": ["none"]}, "'none'"),
    ("searches", {"text": "stories", "minutes": 1, "space": {"learning_rate": "1..0"}}, "space"),
    ("searches", {"text": "stories", "minutes": 1, "space": {"no_such_key": "1..2"}}, "no_such_ke"),
    ("searches", {"run": "none", "minutes": 1}, "'none'"),
    ("attributions", {"a": "old", "b": "old", "text": "stories"}, "no difference"),
    ("attributions", {"a": "none", "b": "old"}, "'none'"),
])  # fmt: skip
def test_experiment_that_cannot_be_starts_nothing(
    services: Any, ask: Any, kind: str, body: dict[str, Any], part: str
) -> None:
    content = json.dumps(body).encode()
    status, _, answer = ask("POST", f"/api/v1/experiments/{kind}", key_headers(services), content)
    assert status in (404, 422)
    assert part in json.loads(answer)["error"]["message"]
    assert services.jobs.all() == []


def test_experiment_that_failed_says_why_and_can_start_again(services: Any, ask: Any) -> None:
    from descend.web.studio.experiment_routes import Experiments
    from descend.web.studio.jobs import Job

    jobs, experiments = services.jobs, Experiments(services)
    jobs.add(Job(run="experiment+search-1", kind="search", arguments=["search", "--no-such"]))
    wait_for(lambda: (jobs.refresh(), not jobs.active())[1])
    row = experiments.row("search-1")
    assert (row["state"], row["kind"], row["sentence"]) == ("failed", "search", "")
    assert "no-such" in " ".join(jobs.log("experiment+search-1"))
    experiments.start_again("search-1")
    wait_for(lambda: (jobs.refresh(), not jobs.active())[1])
    assert experiments.row("search-1")["state"] == "failed"


def test_damaged_result_is_named_and_the_list_stands(services: Any, ask: Any) -> None:
    headers = key_headers(services)
    folder = services.workspace.experiments / "compare-1"
    folder.mkdir(parents=True)
    (folder / "comparison.json").write_text('{"arms": []}')
    assert ask("GET", "/api/v1/experiments", headers)[0] == 200
    status, _, content = ask("GET", "/api/v1/experiments/compare-1", headers)
    assert (status, b"comparison.json" in content) == (422, True)
    outside = services.workspace.root.parent / "outside"
    shutil.copytree(folder, outside)
    (services.workspace.experiments / "linked").symlink_to(outside)
    assert ask("GET", "/api/v1/experiments/linked", headers)[0] == 404
    names = [row["name"] for row in json.loads(ask("GET", "/api/v1/experiments", headers)[2])[
        "experiments"]]  # fmt: skip
    assert names == ["compare-1"]


def write_search(studio: Any, text_file: Path) -> None:
    """Put the search of the documentation among the experiments, as one on a small text."""
    text = studio.folder / "texts" / "animals.txt"
    text.parent.mkdir()
    shutil.copy(text_file, text)
    committed = json.loads((RESULTS / "tinyshakespeare.json").read_text())["result"]
    result = msgspec.convert(committed | {"command": "descend search"}, SearchResult)
    trials = [msgspec.structs.replace(trial, steps=8) for trial in result.trials]
    best = result.best | TINY_SETTINGS | {"corpus_dir": str(text)}
    folder = studio.folder / "experiments" / "search-1"
    folder.mkdir(parents=True)
    write_record(folder, SEARCH_FILE, msgspec.structs.replace(
        result, corpus=str(text), trials=trials, best=best
    ))  # fmt: skip


@pytest.mark.timeout(900)
def test_best_of_a_search_is_trained(studio: Any, text_file: Path) -> None:
    write_search(studio, text_file)
    status, started = studio.ask("POST", "/experiments/search-1/train")
    assert (status, started["run"]) == (201, "animals-1"), started
    details = studio.wait_for_state("animals-1", "finished", seconds=300)
    assert details["num_steps"] == 8
    best = studio.ask("GET", "/experiments/search-1")[1]["result"]["best"]
    for key in ("learning_rate", "embed_dim", "weight_decay", "seed"):
        assert details["requested_config"][key] == best[key]
    copy_run(studio.folder / "models" / "animals-1", studio.folder, "other")
    assert studio.ask("POST", "/experiments/other/train")[0] == 404


def test_deleted_experiments_come_back(studio: Any, text_file: Path) -> None:
    write_search(studio, text_file)
    before = studio.ask("GET", "/experiments/search-1")
    status, deleted = studio.ask("DELETE", "/experiments/search-1")
    assert (status, deleted["experiment"]) == (200, "search-1")
    assert studio.ask("GET", "/experiments")[1]["experiments"] == []
    assert studio.ask("GET", "/experiments/search-1")[0] == 404
    (one,) = studio.ask("GET", "/trash")[1]["deleted"]
    assert (one["experiment"], one["run"]) == ("search-1", None)
    restored = studio.ask("POST", "/trash/restore", {"id": deleted["id"]})
    assert restored == (200, {"experiment": "search-1"})
    assert studio.ask("GET", "/experiments/search-1") == before
    assert studio.ask("GET", "/trash")[1]["deleted"] == []
    assert studio.ask("POST", "/trash/restore", {"id": deleted["id"]})[0] == 404


def test_experiment_without_a_result_is_deleted_with_its_trials_and_comes_back(
    services: Any, ask: Any
) -> None:
    from descend.web.studio.jobs import Job

    headers, jobs, job = key_headers(services), services.jobs, "experiment+search-1"
    jobs.add(Job(run=job, kind="search", arguments=["search", "--no-such"], text="a title"))
    wait_for(lambda: (jobs.refresh(), not jobs.active())[1])
    jobs.trials_file(job).write_text("{}\n")
    before = ask("GET", "/api/v1/experiments", headers)[2]
    deleted = json.loads(ask("DELETE", "/api/v1/experiments/search-1", headers)[2])
    assert not any(services.workspace.jobs.glob(f"{job}*"))
    assert json.loads(ask("GET", "/api/v1/experiments", headers)[2])["experiments"] == []
    body = json.dumps({"text": "stories", "minutes": 1, "space": {"learning_rate": "0.1..0.2"}})
    started = ask("POST", "/api/v1/experiments/searches", headers, body.encode())[2]
    assert json.loads(started)["experiment"] == "search-2"  # the name stays free for the undo
    jobs.stop("experiment+search-2")
    wait_for(lambda: (jobs.refresh(), not jobs.active())[1])
    assert ask("DELETE", "/api/v1/experiments/search-2", headers)[0] in (200, 404)
    content = json.dumps({"id": deleted["id"]}).encode()
    assert ask("POST", "/api/v1/trash/restore", headers, content)[0] == 200
    assert json.loads(ask("GET", "/api/v1/experiments", headers)[2]) == json.loads(before)
    assert jobs.trials_file(job).read_text() == "{}\n"


@pytest.mark.timeout(900)
def test_run_has_report_export_checklist_and_evaluation(
    studio: Any, trained: Path, text_file: Path
) -> None:
    copy_run(trained, studio.folder)
    studio.ask("PUT", "/texts/animals.txt", text_file.read_bytes())
    assert studio.ask("GET", "/runs/first/report")[0] == 404  # not written yet
    status, written = studio.ask("POST", "/runs/first/report")
    assert (status, written["figures"] > 3) == (201, True)
    page, headers = download(studio, "/runs/first/report")
    assert (len(page), headers["content-disposition"]) == (
        written["bytes"], 'attachment; filename="first.html"',
    )  # fmt: skip
    status, export = studio.ask("POST", "/runs/first/export", {"format": "safetensors"})
    assert status == 201, export
    assert stat.S_IMODE((studio.folder / "exports").stat().st_mode) == 0o700
    sizes = {file["name"]: file["bytes"] for file in export["files"]}
    weights, headers = download(studio, f"/exports/{export['export']}/files/model.safetensors")
    assert len(weights) == sizes["model.safetensors"]
    assert headers["content-type"] == "application/octet-stream"
    status, answer = studio.ask(
        "POST", "/runs/first/export", {"format": "onnx", "type": "float16"}
    )  # fmt: skip
    assert (status, "float16" in answer["error"]["message"]) == (422, True)
    assert len(studio.ask("GET", "/runs/first/checklist")[1]["answers"]) == 5
    status, evaluated = studio.ask("POST", "/runs/first/evaluation", {"text": "animals.txt"})
    assert (status, evaluated["text"]) == (200, "animals.txt")
    assert 0 < evaluated["bits_per_byte"] < 20
    status, forecast = studio.ask("GET", "/runs/first/forecast?epochs=3")
    assert (status, len(forecast["epochs"]), bool(forecast["sentence"])) == (200, 3, True)


@pytest.mark.timeout(900)
def test_data_program_and_log_are_checked(studio: Any) -> None:
    lines = [json.dumps({"messages": [
        {"role": "user", "content": f"Question {n}?"},
        {"role": "assistant", "content": "An answer."},
    ]}) for n in (1, 2, 2)] + ["no JSON"]  # fmt: skip
    data = "\n".join(lines).encode()
    status, stored = studio.ask("PUT", "/checks/files/chats.jsonl", data)
    assert (status, stored["folder"]) == (201, "checks")
    body = {"kind": "data", "folder": "checks", "file": "chats.jsonl"}
    status, checked = studio.ask("POST", "/checks", body)
    assert status == 200, checked
    problems = {problem["problem"]: problem for problem in checked["problems"]}
    assert problems["unreadable_lines"]["lines"] == [4]
    assert problems["duplicates"]["fix"]
    (studio.folder / "loop.py").write_text(BAD_PROGRAM)
    status, checked = studio.ask("POST", "/checks", {"kind": "program", "file": "loop.py"})
    assert status == 200, checked
    assert [bug["bug"] for bug in checked["bugs"]] == ["gradients_not_zeroed"]
    assert "loop.py" in checked["bugs"][0]["where"]
    log = "step,loss\n" + "\n".join(f"{n},{4 / (1 + n / 50)}" for n in range(1, 300))
    studio.ask("PUT", "/checks/files/losses.csv", log.encode())
    status, checked = studio.ask(
        "POST", "/checks", {"kind": "log", "folder": "checks", "file": "losses.csv"}
    )
    assert (status, bool(checked["verdict"])) == (200, True)


def test_no_program_is_taken_from_the_page_or_from_outside(services: Any, ask: Any) -> None:
    headers = key_headers(services)
    root = services.workspace.root
    assert ask("PUT", "/api/v1/checks/files/loop.py", headers, b"print()")[0] == 422
    for folder in ("texts", "checks"):
        (root / folder).mkdir()
        (root / folder / "loop.py").write_text("print()")
    (root.parent / "outside.py").write_text("print()")
    (root / "linked.py").symlink_to(root.parent / "outside.py")
    (root / "a.json").write_text("[]")
    for body in (
        {"kind": "program", "file": "loop.py"},
        {"kind": "program", "file": "linked.py"},
        {"kind": "program", "folder": "texts", "file": "loop.py"},
        {"kind": "program", "folder": "checks", "file": "loop.py"},
        {"kind": "program", "file": "../outside.py"},
        {"kind": "program", "file": "a.json"},
        {"kind": "data", "file": ".studio"},
        {"kind": "log", "folder": "texts", "file": "loop.py"},
    ):
        assert ask("POST", "/api/v1/checks", headers, json.dumps(body).encode())[0] == 404, body
    for folder in ("..", ".", ".studio", "code/..", "a/b", "linked"):
        body = {"kind": "data", "folder": folder, "file": "a.json"}
        assert ask("POST", "/api/v1/checks", headers, json.dumps(body).encode())[0] == 404, folder
    listed = list_files(services.workspace)
    assert listed["program"] == []
    assert [file["file"] for file in listed["data"]] == ["a.json"]
    (root / "code").mkdir()
    (root / "code" / "loop.py").write_text("print()")
    (root / "models" / "code").mkdir(parents=True)
    (root / "models" / "code" / "loop.py").write_text("print()")
    listed = list_files(services.workspace)
    assert listed["program"] == [{"folder": "code", "file": "loop.py", "bytes": 7}]
