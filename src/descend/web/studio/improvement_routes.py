"""Routes that make a model better: trials of a diagnosis, improvement, and its best model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response

from descend.artifacts import IMPROVEMENT
from descend.diagnosis.diagnosis_result import diagnosis_seconds
from descend.runs.run_files import has_summary
from descend.runs.run_folder import read_summary
from descend.web.studio.feed import FeedCache
from descend.web.studio.http_errors import NotNowError
from descend.web.studio.jobs import Job, Jobs, elapsed_seconds
from descend.web.studio.requests import ImproveRequest
from descend.web.studio.run_routes import as_json
from descend.web.studio.services import Services

MAX_FEEDS = 20
"""Trainings of improvements whose events are in memory."""


def improvement_routes(services: Services) -> APIRouter:
    """Return the routes, over the parts of `services`."""
    router = APIRouter(tags=["improve"])
    workspace, jobs, views = services.workspace, services.jobs, services.views
    feeds = FeedCache(MAX_FEEDS)

    @router.get("/runs/{name}/diagnosis/trials")
    def diagnosis_trials(name: str) -> Response:
        """Show the trials of the latest diagnosis as they end, the newest effect of each change."""
        folder = workspace.run_folder(name)
        seconds = read_summary(folder).seconds if has_summary(folder) else 0.0
        return as_json({
            "job": _job(jobs, name, "diagnose"), "log": _log(jobs, name, "diagnose"),
            "expected_seconds": diagnosis_seconds(seconds),
            "trials": _trials(jobs.trials_file(name)),
        })  # fmt: skip

    @router.get("/runs/{name}/improvement")
    def improvement(name: str) -> Response:
        """Show the improvement of a run so far: models over time, forecast, trials, changes."""
        workspace.run_folder(name)
        job = {"job": _job(jobs, name, "improve"), "log": _log(jobs, name, "improve")}
        if not (workspace.improvement_path(name) / IMPROVEMENT).is_file():
            return as_json(job | {"exists": False})
        from descend.web.studio.improvement_view import improvement_fields  # loads torch

        is_active = job["job"] is not None and jobs.is_active(name)
        return as_json(job | improvement_fields(workspace, name, feeds, is_active=is_active))

    @router.post("/runs/{name}/improvement", status_code=202)
    def improve(name: str, body: ImproveRequest) -> dict[str, Any]:
        """Look for a better model for so many minutes, in a process of its own.

        An earlier improvement of the run goes on. `POST /runs/{name}/stop` ends it. The best model
        so far stays.
        """
        folder = workspace.run_folder(name)
        if views.state(name) != "finished":
            raise NotNowError(name, f"a run that is {views.state(name)}", "a finished run",
                              "let it train to its end")  # fmt: skip
        target = workspace.improvement_path(name)
        arguments = ["improve", str(folder), "--minutes", f"{body.minutes:g}", "--save-dir",
                     str(target)]  # fmt: skip
        jobs.add(Job(run=name, kind="improve", arguments=arguments, minutes=body.minutes))
        return {"run": name}

    @router.post("/runs/{name}/improvement/keep", status_code=201)
    def keep(name: str) -> dict[str, Any]:
        """Put the best model of the improvement among the runs."""
        from descend.web.studio.improvement_view import keep_best_model

        workspace.run_folder(name)
        if jobs.is_active(name):
            raise NotNowError(name, "an improvement that is not done", "one that is",
                              "wait, or stop it")  # fmt: skip
        with jobs.naming:
            return {"run": keep_best_model(workspace, name, {job.run for job in jobs.all()})}

    return router


def _trials(file: Path) -> list[dict[str, Any]]:
    if not file.is_file() or not file.stat().st_size:
        return []
    from descend.web.studio.diagnosis_view import trial_fields  # its causes load torch

    return trial_fields(file)


def _job(jobs: Jobs, name: str, kind: str) -> dict[str, Any] | None:
    job = jobs.get(name)
    if job is None or job.kind != kind:
        return None
    return {**msgspec.to_builtins(job), "elapsed_seconds": round(elapsed_seconds(job), 1)}


def _log(jobs: Jobs, name: str, kind: str) -> list[str]:
    job = jobs.get(name)
    return jobs.log(name) if job is not None and job.kind == kind else []
