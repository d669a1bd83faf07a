"""The interface of the screens Inside and Runs, against a real server."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from descend.web.studio.forecast_routes import points_ahead

from .studio_server import copy_run

TEXT = "The cat sleeps on the mat."


def test_weights_of_a_run_are_listed_and_looked_into(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder, "first")
    status, answer = studio.ask("GET", "/runs/first/weights")
    assert status == 200
    ids = [one["id"] for one in answer["weights"]]
    assert (ids[0], ids[-1]) == ("snapshot-0", "model")
    snapshots = [one["bytes"] for one in answer["weights"] if one["kind"] == "snapshot"]
    assert answer["snapshot_bytes"] == sum(snapshots) > 0
    body = {"weights": "snapshot-64", "text": TEXT}
    status, inspection = studio.ask("POST", "/runs/first/inspect", body)
    assert status == 200
    assert "".join(token["text"] for token in inspection["tokens"]) == TEXT
    _, off = studio.ask("POST", "/runs/first/inspect", body | {"layer": 1, "head": 2})
    assert off["mean_loss"] != inspection["mean_loss"]
    _, effects = studio.ask("POST", "/runs/first/ablations", body)
    (effect,) = [e for e in effects["effects"] if (e["layer"], e["head"]) == (1, 2)]
    assert abs(effect["loss_increase"] - (off["mean_loss"] - inspection["mean_loss"])) < 1e-4
    token = inspection["tokens"][1]["id"]
    _, near = studio.ask(
        "POST", "/runs/first/neighbors", {"weights": "snapshot-64", "token": token}
    )
    assert len(near["neighbors"]) == 12
    _, flow = studio.ask("GET", "/runs/first/gradients")
    assert flow["layers"] == ["embedding", "block 1", "block 2", "head"]
    # What does not exist is said in a sentence.
    for body in (
        {"weights": "snapshot-9", "text": TEXT}, {"weights": "../model", "text": TEXT},
        {"text": TEXT, "layer": 7}, {"text": TEXT, "layer": 1, "head": 7}, {"text": "T"},
        {"text": TEXT, "layer": 0}, {"text": "x" * 2001},
    ):  # fmt: skip
        status, answer = studio.ask("POST", "/runs/first/inspect", body)
        assert status == 422, body
        assert answer["error"]["message"]


def test_annotation_is_written_and_goes_with_the_run(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder, "first")
    annotation = {"tags": ["class 9b", "best"], "note": "More text next time."}
    assert studio.ask("PUT", "/runs/first/annotation", annotation)[0] == 200
    (row,) = studio.ask("GET", "/runs")[1]["runs"]
    assert (row["tags"], row["note"]) == (annotation["tags"], annotation["note"])
    assert studio.ask("GET", "/runs/first")[1]["annotation"]["tags"] == annotation["tags"]
    assert studio.ask("PUT", "/runs/first/annotation", {"tags": ["x"] * 21})[0] == 422
    assert studio.ask("PUT", "/runs/first/annotation", {"tags": ["x" * 41]})[0] == 422
    trash_id = studio.ask("DELETE", "/runs/first")[1]["id"]
    assert studio.ask("POST", "/trash/restore", {"id": trash_id})[0] == 200
    (row,) = studio.ask("GET", "/runs")[1]["runs"]
    assert row["tags"] == annotation["tags"]


def test_continued_run_knows_its_parent(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder, "first")
    status, answer = studio.ask("POST", "/runs/first/continue")
    assert status == 201
    rows = {row["name"]: row for row in studio.ask("GET", "/runs")[1]["runs"]}
    assert rows[answer["run"]]["parent"] == "first"
    studio.wait_for_state(answer["run"], "finished", seconds=600)
    rows = {row["name"]: row for row in studio.ask("GET", "/runs")[1]["runs"]}
    assert rows[answer["run"]]["parent"] == "first"
    assert rows[answer["run"]]["validation_loss"] > 0
    (studio.folder / "models" / "first" / "model.safetensors").unlink()
    assert studio.ask("POST", "/runs/first/continue")[0] == 409


def test_run_continues_on_another_text(studio: Any, trained: Path, text_file: Path) -> None:
    copy_run(trained, studio.folder, "first")
    studio.ask("PUT", "/texts/other.txt", text_file.read_bytes())
    assert studio.ask("POST", "/runs/first/continue", {"text": "none"})[0] == 404
    status, answer = studio.ask("POST", "/runs/first/continue", {"text": "other.txt"})
    assert (status, answer["run"]) == (201, "other-1")
    details = studio.wait_for_state("other-1", "finished", seconds=600)
    assert (details["text"], details["parent"]) == ("other.txt", "first")


def test_folder_is_stored_and_measured_as_one_text(studio: Any, text_file: Path) -> None:
    content = text_file.read_bytes()
    half = len(content) // 2
    for name, part in (("a.txt", content[:half]), ("b - c.txt", content[half:])):
        status, _ = studio.ask("PUT", f"/texts/animals/files/{name.replace(' ', '%20')}", part)
        assert status == 201
    (text,) = [t for t in studio.ask("GET", "/texts")[1]["texts"] if not t["builtin"]]
    assert (text["name"], text["files"], text["bytes"]) == ("animals", 2, len(content))
    status, facts = studio.ask("GET", "/texts/animals/statistics")
    assert status == 200
    assert facts["documents"] == 2
    beginning = "".join(facts["excerpt_tokens"])
    assert len(facts["excerpt_tokens"]) == 150
    assert beginning[:40] in text_file.read_text()
    for path in (
        "/texts/animals/files/.hidden", "/texts/..%2Fx/files/a.txt", "/texts/animals/files/con",
        "/texts/stories/files/a.txt",
    ):  # fmt: skip
        assert studio.ask("PUT", path, b"text")[0] in (400, 404, 409), path
    assert studio.ask("PUT", "/texts/animals", b"text")[0] == 409
    assert studio.ask("PUT", "/texts/plain.txt", b"text")[0] == 201
    assert studio.ask("PUT", "/texts/plain.txt/files/a.txt", b"text")[0] == 409


def test_folder_that_is_a_link_is_no_text(studio: Any, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (studio.folder / "texts").mkdir()
    (studio.folder / "texts" / "link").symlink_to(tmp_path / "outside")
    assert studio.ask("PUT", "/texts/link/files/a.txt", b"text")[0] == 409
    assert studio.ask("GET", "/texts/link/statistics")[0] == 404
    assert list((tmp_path / "outside").iterdir()) == []


def test_forecast_of_an_unfinished_run_ends_with_its_last_step(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder, "first")
    folder = studio.folder / "models" / "first"
    for name in ("summary.json", "model.safetensors", "manifest.json"):
        (folder / name).unlink()
    lines = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    end = next(n for n, line in enumerate(lines) if '"kind":"epoch"' in line)
    (folder / "events.jsonl").write_text("".join(lines[: end + 1]))
    shutil.rmtree(folder / "checkpoints")
    status, answer = studio.ask("GET", "/runs/first/forecast")
    assert status == 200, answer
    assert answer["from_step"] == 41
    last = answer["points"][-1]
    assert last["step"] == studio.ask("GET", "/runs/first")[1]["total_steps"]
    assert last["low"] < last["loss"] < last["high"]


def test_points_ahead_never_pass_the_end() -> None:
    ahead = [{"epoch": n, "validation_loss": 2.0, "low": 1.9, "high": 2.2} for n in (1, 2, 3)]
    config, corpus = {"batch_size": 4, "seq_len": 16}, {"train_tokens": 6400}
    points = points_ahead({"epochs": ahead}, config, corpus, 150)
    assert [p["step"] for p in points] == [100, 150]
