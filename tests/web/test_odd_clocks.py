"""A studio whose clock was never set, or is set while a process runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from descend.web.studio.jobs import Job, elapsed_seconds
from descend.web.studio.trash import delete_run, list_deleted, restore_run

from .studio_server import copy_run, stop_job


@pytest.mark.parametrize("now", [-5.0, 300.0, 1e9, 4e9, 2e11])
def test_deleted_run_comes_back_whatever_the_clock_says(
    services: Any, trained: Path, monkeypatch: pytest.MonkeyPatch, now: float
) -> None:
    copy_run(trained, services.workspace.root, "first")
    monkeypatch.setattr(time, "time", lambda: now)
    deleted = delete_run(services.workspace, "first")
    assert [row.run for row in list_deleted(services.workspace)] == ["first"]
    assert restore_run(services.workspace, deleted.id) == "first"


def test_seconds_of_a_process_are_those_it_ran(
    services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = services.jobs
    jobs.add(Job(run="first", kind="diagnose", arguments=["explain", "loss"]))
    job, now = jobs.get("first"), time.time()
    for shift in (-1e6, 1e6):
        monkeypatch.setattr(time, "time", lambda shift=shift: now + shift)
        assert 0 <= elapsed_seconds(job) < 60
        job.ended_at = time.time()
        assert elapsed_seconds(job) >= 0
        job.ended_at = None
    monkeypatch.undo()
    stop_job(jobs, "first")


def test_queue_is_first_come_first_served_when_the_clock_goes_back(
    services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = services.jobs
    jobs.max_running = 0
    monkeypatch.setattr(jobs, "_has_room", lambda job: False)
    for name, now in (("a", 5000.0), ("b", 100.0), ("c", 9000.0), ("d", 1.0)):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        jobs.add(Job(run=name, kind="diagnose", arguments=["explain", "loss"]))
    assert [job.run for job in jobs.queue] == ["a", "b", "c", "d"]
