"""Routes that come after a run: delete and undo, diagnosis and its fix."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response

from descend.diagnosis.recommended_config import load_diagnosis
from descend.runs.atomic_write import write_file_atomic
from descend.runs.recorded_run import RecordedRun
from descend.runs.run_files import has_diagnosis
from descend.web.studio.experiment_routes import job_name
from descend.web.studio.http_errors import NotNowError
from descend.web.studio.jobs import Job
from descend.web.studio.requests import RestoreRequest
from descend.web.studio.run_routes import BUSY, as_json
from descend.web.studio.server_routes import server_job_name
from descend.web.studio.services import Services
from descend.web.studio.trash import (
    delete_run,
    find_deleted_experiment,
    list_deleted,
    restore_experiment,
    restore_run,
)


def after_run_routes(services: Services) -> APIRouter:
    """Return the routes, over the parts of `services`."""
    router = APIRouter(tags=["after a run"])
    workspace, jobs, views = services.workspace, services.jobs, services.views

    @router.delete("/runs/{name}")
    def delete(name: str) -> dict[str, Any]:
        """Move a run to the trash; `POST /trash/restore` takes it back."""
        if views.state(name) in BUSY or _has_begun(name):
            raise NotNowError(name, "a run that is busy", "one that does nothing", "stop it first")
        if jobs.is_active(server_job_name(name)):
            raise NotNowError(name, "a model that is served", "one that is not", "stop serving it")
        if not workspace.run_path(name).exists() and jobs.forget(name) is not None:
            return {"id": None, "run": name}
        deleted = delete_run(workspace, name)
        views.forget(name)
        jobs.forget(name)
        return {"id": deleted.id, "run": name, "deleted_at": deleted.deleted_at}

    @router.get("/trash")
    def trash() -> Response:
        """List the deleted runs and experiments."""
        return as_json({"deleted": list_deleted(workspace)})

    @router.post("/trash/restore")
    def restore(body: RestoreRequest) -> dict[str, Any]:
        """Take a deleted run or experiment back."""
        if (experiment := find_deleted_experiment(workspace, body.id)) is not None:
            restore_experiment(workspace, jobs, body.id, job_name(experiment))
            return {"experiment": experiment}
        return {"run": restore_run(workspace, body.id)}

    def _has_begun(name: str) -> bool:
        """Return whether a diagnosis or an improvement of the run is at work."""
        return any(job.run == name and job.began_at is not None for job in jobs.active())

    return router


def diagnosis_routes(services: Services) -> APIRouter:
    """Return the routes that find out what is wrong and try its fix, over the parts of
    `services`."""
    router = APIRouter(tags=["diagnosis"])
    workspace, jobs, views = services.workspace, services.jobs, services.views

    @router.get("/runs/{name}/diagnosis")
    def diagnosis(name: str) -> Response:
        """Show why the run does not learn better, if it was requested."""
        from descend.web.studio.diagnosis_view import diagnosis_fields  # its causes load torch

        return as_json(diagnosis_fields(workspace.run_folder(name)))

    @router.post("/runs/{name}/diagnosis", status_code=202)
    def diagnose(name: str) -> dict[str, Any]:
        """Find out why the run does not learn better, in a process of its own."""
        folder = workspace.run_folder(name)
        if views.state(name) in BUSY:
            raise NotNowError(name, "a run that trains", "one that does not", "stop it first")
        trials = jobs.trials_file(name)
        arguments = ["diagnose", str(folder), "--trials-file", str(trials)]
        jobs.add(Job(run=name, kind="diagnose", arguments=arguments))
        return {"run": name}

    @router.get("/runs/{name}/health")
    def run_health(name: str) -> Response:
        """Show what is wrong with a run, how sure that is, and what would fix it.

        Before a diagnosis the curve alone is read, which costs the training nothing.
        """
        return as_json(services.health.health(name))

    @router.post("/runs/{name}/fix", status_code=201)
    def apply_fix(name: str) -> dict[str, Any]:
        """Start a new run with what the diagnosis or the curve of this one recommends.

        It is trained beside this one, or waits in the queue where one run trains at a time.
        """
        folder = workspace.run_folder(name)
        text = str(RecordedRun(folder).metadata.corpus["corpus"])
        with jobs.naming:
            new = workspace.new_run_name(text, {job.run for job in jobs.all()})
            arguments = _fix_arguments(services, name, new)
            jobs.add(Job(run=new, kind="train", arguments=arguments, text=text, origin=name))
        return {"run": new, "state": views.state(new)}

    return router


def _fix_arguments(services: Services, name: str, new: str) -> list[str]:
    """Return how the run `new` is started with what is recommended for the run `name`."""
    workspace = services.workspace
    folder, target = workspace.run_folder(name), str(workspace.run_path(new))
    if has_diagnosis(folder):
        load_diagnosis(folder)  # 422 where it is damaged
        return ["train", "--from-run", str(folder), "--apply-fix", "--save-dir", target]
    config, _ = services.health.fixed_config(name)
    file = services.jobs.config_file(new)
    write_file_atomic(file, msgspec.json.encode(config | {"save_dir": target}))
    return ["train", "--config", str(file)]
