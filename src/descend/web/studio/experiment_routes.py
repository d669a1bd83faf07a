"""Routes of experiments: compare, search, attribute; what they show as trials end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from descend.runs.atomic_write import PRIVATE, make_folder, write_file_atomic
from descend.web.studio.experiment_plans import (
    ExperimentPlan,
    plan_attribution,
    plan_comparison,
    plan_search,
)
from descend.web.studio.experiment_view import (
    KINDS,
    ExperimentKind,
    describe_result,
    find_kind,
    progress_fields,
    result_fields,
)
from descend.web.studio.http_errors import NotNowError
from descend.web.studio.jobs import Job, elapsed_seconds
from descend.web.studio.requests import AttributionRequest, ComparisonRequest, SearchRequest
from descend.web.studio.run_routes import as_json
from descend.web.studio.services import Services
from descend.web.studio.workspace import is_name, no_such_item

JOB_PREFIX = "experiment+"
"""Of the jobs of experiments: no run that is made here has a plus at that place."""


def experiment_routes(services: Services) -> APIRouter:
    """Return the routes, over the parts of `services`."""
    router = APIRouter(tags=["experiments"])
    workspace, jobs = services.workspace, services.jobs
    experiments = Experiments(services)

    @router.get("/experiments")
    def list_experiments() -> Response:
        """List the experiments, the newest first."""
        return as_json({"experiments": experiments.rows()})

    @router.get("/experiments/{name}")
    def show_experiment(name: str) -> Response:
        """Show an experiment: its trials so far with their effects, and its result."""
        row = experiments.row(experiments.check(name))
        fields = progress_fields(jobs.trials_file(job_name(name)))
        folder = workspace.experiment_path(name)
        return as_json(row | fields | {
            "result": result_fields(folder), "log": jobs.log(job_name(name)),
        })  # fmt: skip

    @router.post("/experiments/comparisons", status_code=202)
    def compare(body: ComparisonRequest) -> dict[str, Any]:
        """Train configurations against each other, paired by seed."""
        return experiments.start("compare", plan_comparison(workspace, body))

    @router.post("/experiments/searches", status_code=202)
    def search(body: SearchRequest) -> dict[str, Any]:
        """Search the best settings within so many minutes."""
        return experiments.start("search", plan_search(workspace, body))

    @router.post("/experiments/attributions", status_code=202)
    def attribute(body: AttributionRequest) -> dict[str, Any]:
        """Measure what each difference between two runs or presets is worth."""
        return experiments.start("attribute", plan_attribution(workspace, body))

    @router.post("/experiments/{name}/stop")
    def stop(name: str) -> dict[str, Any]:
        """Stop an experiment, or take it out of the queue; its trials stay in the cache."""
        jobs.stop(job_name(experiments.check(name)))
        return {"experiment": name, "stopping": True}

    @router.post("/experiments/{name}/again", status_code=202)
    def start_again(name: str) -> dict[str, Any]:
        """Go on with an experiment that was stopped: trials that ended are not made again."""
        experiments.start_again(experiments.check(name))
        return {"experiment": name}

    return router


class Experiments:
    """The experiments of a workspace: finished ones by their folders, others by their jobs."""

    def __init__(self, services: Services) -> None:
        self._workspace, self._jobs = services.workspace, services.jobs

    def check(self, name: str) -> str:
        """Return `name`, if there is such an experiment; else `NoSuchItemError`."""
        folder = self._workspace.experiment_path(name)
        if find_kind(folder) is None and self._jobs.get(job_name(name)) is None:
            raise no_such_item("experiment", name)
        return name

    def rows(self) -> list[dict[str, Any]]:
        """Return each experiment in a line, the newest first."""
        root = self._workspace.experiments
        names = set()
        if root.is_dir() and not root.is_symlink():
            names = {p.name for p in root.iterdir() if is_name(p.name) and not p.is_symlink()}
        names = {name for name in names if find_kind(root / name) is not None}
        names |= {job.run.removeprefix(JOB_PREFIX) for job in self._jobs.all() if job.kind in KINDS}
        rows = [self.row(name) for name in names]
        return sorted(rows, key=lambda row: (-row["started_at"], row["name"]))

    def row(self, name: str) -> dict[str, Any]:
        """Return what the list shows of the experiment `name`."""
        job, folder = self._jobs.get(job_name(name)), self._workspace.experiment_path(name)
        kind = find_kind(folder)
        began = _written_at(folder) if job is None else job.began_at or job.queued_at
        title, sentence = describe_result(folder)
        elapsed = 0.0 if job is None else elapsed_seconds(job)
        return {
            "name": name, "kind": kind or (job.kind if job else ""),
            "title": job.text if job else title or name, "state": _state(job, kind is not None),
            "started_at": began, "elapsed_seconds": round(elapsed, 1),
            "minutes": None if job is None else job.minutes, "sentence": sentence,
        }  # fmt: skip

    def start(self, kind: ExperimentKind, plan: ExperimentPlan) -> dict[str, Any]:
        """Put an experiment into the queue; its name."""
        with self._jobs.naming:
            name = self._new_name(kind)
            job, folder = job_name(name), self._workspace.experiment_path(name)
            arguments = [*plan.arguments, "--save-dir", str(folder), "--trials-file",
                         str(self._jobs.trials_file(job))]  # fmt: skip
            if plan.config:
                file = self._jobs.config_file(job)
                write_file_atomic(file, json.dumps(plan.config).encode())
                arguments += ["--config", str(file)]
            make_folder(self._workspace.experiments, PRIVATE)
            self._jobs.add(
                Job(run=job, kind=kind, arguments=arguments, text=plan.title, minutes=plan.minutes)
            )
        return {"experiment": name}

    def start_again(self, name: str) -> None:
        """Put the experiment `name`, which ended without a result, into the queue again."""
        job = self._jobs.get(job_name(name))
        if job is None or find_kind(self._workspace.experiment_path(name)) is not None:
            raise NotNowError(name, "an experiment with a result", "one without", "start another")
        again = Job(run=job.run, kind=job.kind, arguments=job.arguments, text=job.text,
                    minutes=job.minutes)  # fmt: skip
        self._jobs.add(again)

    def _new_name(self, kind: str) -> str:
        number, deleted = 1, self._workspace.deleted_names()
        while (
            (name := f"{kind}-{number}") in deleted
            or self._jobs.get(job_name(name)) is not None
            or self._workspace.experiment_path(name).exists()
        ):
            number += 1
        return name


def _state(job: Job | None, is_finished: bool) -> str:
    if job is not None and job.ended_at is None:
        return "waiting" if job.began_at is None else "running"
    if is_finished:
        return "finished"
    is_failure = job is not None and job.exit_code is not None and 0 < job.exit_code < 128
    return "failed" if is_failure else "stopped"


def _written_at(folder: Path) -> float:
    return folder.stat().st_mtime if folder.exists() else 0.0


def job_name(name: str) -> str:
    """Return the name under which the experiment `name` is a job."""
    return f"{JOB_PREFIX}{name}"
