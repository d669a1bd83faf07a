"""Routes that come after an experiment: delete it, and train the best of a search."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter

from descend.artifacts import SEARCH_FILE
from descend.config import make_config
from descend.experiments.experiment_folder import read_record
from descend.experiments.search.search_result import SearchResult
from descend.runs.atomic_write import write_file_atomic
from descend.web.studio.experiment_routes import Experiments, job_name
from descend.web.studio.experiment_view import find_kind
from descend.web.studio.http_errors import NotNowError
from descend.web.studio.jobs import Job
from descend.web.studio.services import Services
from descend.web.studio.trash import delete_experiment


def experiment_end_routes(services: Services) -> APIRouter:
    """Return the routes, over the parts of `services`."""
    router = APIRouter(tags=["experiments"])
    workspace, jobs, views = services.workspace, services.jobs, services.views
    experiments = Experiments(services)

    @router.delete("/experiments/{name}")
    def delete(name: str) -> dict[str, Any]:
        """Move an experiment to the trash; `POST /trash/restore` takes it back."""
        job = job_name(experiments.check(name))
        if jobs.is_active(job):
            raise NotNowError(
                name, "an experiment that runs or waits", "one that has ended", "stop it first"
            )
        deleted = delete_experiment(workspace, jobs, name, job)
        return {"id": deleted.id, "experiment": name, "deleted_at": deleted.deleted_at}

    @router.post("/experiments/{name}/train", status_code=201)
    def train_best(name: str) -> dict[str, Any]:
        """Train the best configuration of a search as a run."""
        folder = workspace.experiment_path(experiments.check(name))
        if find_kind(folder) != "search":
            raise NotNowError(
                name, "no result of a search", "a search that has ended", "let it search to its end"
            )
        result = read_record(folder, SEARCH_FILE, SearchResult)
        with jobs.naming:
            new = workspace.new_run_name(result.corpus, {job.run for job in jobs.all()})
            settings = {k: v for k, v in result.best_run_config.items() if v is not None}
            settings |= {"corpus_dir": result.corpus, "save_dir": str(workspace.run_path(new))}
            make_config(settings)  # 422 where the record is not one of this version
            write_file_atomic(jobs.config_file(new), msgspec.json.encode(settings))
            arguments = ["train", "--config", str(jobs.config_file(new))]
            jobs.add(Job(run=new, kind="train", arguments=arguments, text=result.corpus))
        return {"run": new, "state": views.state(new)}

    return router
