"""Diagnosis by trial, improvement, and lessons through the interface, against a real server."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from descend.experiments.improvement import ExpectedResult, Improvement, TrainedModel, save
from descend.guard import is_alive
from descend.handbook.lesson import load_lessons
from descend.web.studio.jobs import Job, Jobs

from .studio_server import TINY_SETTINGS, copy_run


def wait_for(look: Callable[[], Any], seconds: float = 1500) -> Any:
    """What `look` gives once it is something."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if answer := look():
            return answer
        time.sleep(0.3)
    raise AssertionError(f"nothing after {seconds} s")


def test_run_without_alarm_has_no_cause(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder)
    status, health = studio.ask("GET", "/runs/first/health")
    assert (status, health["cause"]) == (200, None)
    status, answer = studio.ask("POST", "/runs/first/fix")
    assert status == 422
    assert "Fix: " in answer["error"]["message"]


def test_run_has_no_improvement_before_the_first(studio: Any, trained: Path) -> None:
    copy_run(trained, studio.folder)
    assert studio.ask("GET", "/runs/first/improvement")[1] == {
        "job": None, "log": [], "exists": False
    }  # fmt: skip
    status, trials = studio.ask("GET", "/runs/first/diagnosis/trials")
    assert (status, trials["trials"], trials["job"]) == (200, [], None)
    assert trials["expected_seconds"] >= 60
    assert studio.ask("POST", "/runs/first/improvement/keep")[0] == 404
    assert studio.ask("POST", "/runs/first/improvement", {"minutes": 0})[0] == 422


def test_best_model_outside_its_folder_is_not_copied(
    studio: Any, trained: Path, tmp_path: Path
) -> None:
    copy_run(trained, studio.folder)
    folder = studio.folder / "improvements" / "first"
    folder.mkdir(parents=True)
    shutil.copytree(trained, tmp_path / "model_1")
    (folder / "model_1").symlink_to(tmp_path / "model_1")
    record = {"run": str(tmp_path / "model_1"), "origin": "planned", "changes": {},
              "bits_per_byte": 1.0, "predicted": None, "seconds": 1.0}  # fmt: skip
    save(Improvement(source="x", corpus="y"), folder)
    file = folder / "improvement.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"candidates": [record]}))
    status, answer = studio.ask("POST", "/runs/first/improvement/keep")
    assert status == 409, answer
    assert [run["name"] for run in studio.ask("GET", "/runs")[1]["runs"]] == ["first"]


@pytest.mark.parametrize(("first", "is_drawn"), [(2.41, True), (1.0, False)])
def test_forecast_above_the_run_itself_is_left_out(
    services: Any, first: float, is_drawn: bool
) -> None:
    from descend.web.studio.feed import FeedCache
    from descend.web.studio.improvement_view import improvement_fields

    folder = services.workspace.improvements / "first"
    run = TrainedModel(run="first", origin="your run", changes={}, bits_per_byte=first,
                       predicted=None, seconds=50, elapsed_seconds=6, pieces=[])  # fmt: skip
    forecast = [ExpectedResult(seconds=60, bits_per_byte=2.0, interval=(1.9, 2.1))]
    folder.mkdir(parents=True)
    save(Improvement(source="first", corpus="stories", candidates=[run], forecast=forecast), folder)
    fields = improvement_fields(services.workspace, "first", FeedCache(2))
    assert (len(fields["forecast"]), fields["has_other_forecast"]) == (is_drawn, not is_drawn)


def test_lessons_are_listed_and_a_wrong_prediction_is_refused(studio: Any) -> None:
    status, answer = studio.ask("GET", "/lessons")
    assert status == 200
    assert [lesson["name"] for lesson in answer["lessons"]] == list(load_lessons())
    assert not any(lesson["is_done"] for lesson in answer["lessons"])
    status, lesson = studio.ask("GET", "/lessons/rate")
    assert len(lesson["choices"]) == 4
    assert "answer" not in lesson
    assert studio.ask("GET", "/lessons/rate/experiment")[1]["state"] == "new"
    status, answer = studio.ask("POST", "/lessons/rate/experiment", {"prediction": 4})
    assert (status, "0 to 3" in answer["error"]["message"]) == (422, True)
    assert studio.ask("POST", "/lessons/nothing/experiment", {"prediction": 0})[0] == 404


def test_two_trainings_run_beside_each_other_where_there_is_room(services: Any) -> None:
    jobs = Jobs(services.workspace, max_running=2)
    for name in ("a-1", "a-2", "a-3"):
        jobs.add(Job(run=name, kind="train", arguments=["--version"]))
    begun = [job.run for job in jobs.all() if job.began_at is not None]
    assert begun == ["a-1", "a-2"]
    wait_for(lambda: (jobs.refresh(), not jobs.active())[1])
    jobs.add(Job(run="a-1", kind="train", arguments=["--version"]))
    jobs.add(Job(run="a-2", kind="diagnose", arguments=["--version"]))
    assert [job.run for job in jobs.queue] == ["a-2"]  # it times what it tries
    wait_for(lambda: (jobs.refresh(), not jobs.active())[1])


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_lesson_runs_and_its_answer_survives_the_server(
    studio: Any, studios: Any, text_file: Path
) -> None:
    studio.ask("PUT", "/texts/animals.txt", text_file.read_bytes())
    body = {"text": "animals.txt", "prediction": 0}
    assert studio.ask("POST", "/lessons/model/experiment", body)[0] == 202
    assert studio.ask("POST", "/lessons/model/experiment", body)[0] == 409  # it runs already
    wait_for(lambda: any(
        arm["points"] for arm in studio.ask("GET", "/lessons/model/experiment")[1]["arms"]
    ))  # fmt: skip
    studio.kill()
    again = studios.start(studio.folder)
    experiment = wait_for(lambda: finished_experiment(again, "model"))
    assert experiment["is_done"]
    assert experiment["is_right"] == (experiment["result"]["answer"] == 0)
    assert experiment["arms"][0]["num_steps"] == 150
    listed = again.ask("GET", "/lessons")[1]["lessons"]
    assert [lesson["name"] for lesson in listed if lesson["is_done"]] == ["model"]


def finished_experiment(studio: Any, lesson: str) -> Any:
    answer = studio.ask("GET", f"/lessons/{lesson}/experiment")[1]
    assert answer["state"] != "failed", answer["log"]
    return answer if answer["state"] == "finished" else None


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_diagnosis_by_trial_shows_trials_as_they_end(studio: Any, varied_text: Path) -> None:
    studio.ask("PUT", "/texts/words.txt", varied_text.read_bytes())
    body = {
        "text": "words.txt",
        "settings": TINY_SETTINGS | {"epoch": 1, "learning_rate": 0.00002},
    }
    studio.ask("POST", "/runs", body)
    studio.wait_for_state("words-1", "finished", seconds=1500)
    assert studio.ask("POST", "/runs/words-1/diagnosis")[0] == 202
    assert studio.ask("DELETE", "/runs/words-1")[0] == 409
    counts = []

    def look() -> Any:
        answer = studio.ask("GET", "/runs/words-1/diagnosis/trials")[1]
        counts.append(len(answer["trials"]))
        return answer if answer["job"]["ended_at"] is not None else None

    answer = wait_for(look, seconds=1500)
    assert answer["job"]["exit_code"] == 0, answer["log"]
    assert counts == sorted(counts)
    assert len(set(counts)) > 1  # not all at once
    for trial in answer["trials"]:
        assert trial["ci95"][0] <= trial["effect"] <= trial["ci95"][1]
    diagnosis = studio.ask("GET", "/runs/words-1/diagnosis")[1]
    cause = diagnosis["causes"][0]["cause"]
    assert cause in ("learning_rate_too_low", "vocabulary_too_small")  # both are, on purpose
    health = studio.ask("GET", "/runs/words-1/health")[1]
    assert (health["basis"], health["cause"]) == ("trials", cause)
    fixed = studio.ask("POST", "/runs/words-1/fix")[1]["run"]
    details = studio.wait_for_state(fixed, "finished", seconds=1500)
    assert (
        details["summary"]["bits_per_byte"]
        < 0.9 * (studio.ask("GET", "/runs/words-1")[1]["summary"]["bits_per_byte"])
    )


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_improvement_survives_the_server_and_stop_keeps_the_best(
    studio: Any, studios: Any, varied_text: Path
) -> None:
    studio.ask("PUT", "/texts/words.txt", varied_text.read_bytes())
    studio.ask("POST", "/runs", {"text": "words.txt", "settings": TINY_SETTINGS | {"epoch": 1}})
    studio.wait_for_state("words-1", "finished", seconds=1500)
    assert studio.ask("POST", "/runs/words-1/improvement", {"minutes": 3})[0] == 202

    def has_epoch(server: Any) -> Any:
        answer = server.ask("GET", "/runs/words-1/improvement")[1]
        assert answer["job"]["ended_at"] is None or answer["stopped"], answer["log"]
        return answer if answer["exists"] and len(answer["points"]) > 1 else None

    before = wait_for(lambda: has_epoch(studio), seconds=1200)
    assert before["forecast"][-1]["seconds"] == pytest.approx(180, abs=20)
    pid = before["job"]["pid"]
    studio.kill()
    assert is_alive(pid)
    again = studios.start(studio.folder)
    again_answer = again.ask("GET", "/runs/words-1/improvement")[1]
    assert len(again_answer["points"]) >= len(before["points"])
    if again_answer["job"]["ended_at"] is None:
        again.ask("POST", "/runs/words-1/stop")
    wait_for(lambda: again.ask("GET", "/runs/words-1/improvement")[1]["job"]["ended_at"])
    after = again.ask("GET", "/runs/words-1/improvement")[1]
    assert after["best"]["is_new"]
    assert after["best"]["bits_per_byte"] < after["first"]
    status, answer = again.ask("POST", "/runs/words-1/improvement/keep")
    assert status == 201, answer
    new = answer["run"]
    assert again.ask("GET", f"/runs/{new}")[1]["can_talk"]
    wait_for(lambda: not is_alive(pid))
