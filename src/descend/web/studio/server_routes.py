"""Routes that serve the model of a run to other programs, as `descend serve` does."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter

from descend.web.studio.http_errors import NotNowError, TooManyRequestsError
from descend.web.studio.jobs import Job
from descend.web.studio.services import Services

MAX_SERVED = 4
"""Models that are served at once: each is in memory."""

_ADDRESS = re.compile(r"OPENAI_BASE_URL=(\S+)")
_KEY = re.compile(r"OPENAI_API_KEY=(\S+)")


def server_routes(services: Services) -> APIRouter:
    """Return the routes, over the parts of `services`."""
    router = APIRouter(tags=["after a run"])
    workspace, jobs = services.workspace, services.jobs

    @router.get("/runs/{name}/server")
    def show_server(name: str) -> dict[str, Any]:
        """Show whether the model of a run is served, and the address and key for other programs."""
        workspace.run_folder(name)
        return server_fields(services, name)

    @router.post("/runs/{name}/server", status_code=202)
    def start_server(name: str) -> dict[str, Any]:
        """Serve the model of a run on this computer, until it is stopped."""
        folder = workspace.run_folder(name)
        served = [job for job in jobs.active() if job.kind == "serve"]
        if any(job.run == server_job_name(name) for job in served):
            raise NotNowError(name, "a model that is served", "one that is not", "use its address")
        if len(served) >= MAX_SERVED:
            raise TooManyRequestsError(
                "serve", f"{len(served)} models", f"at most {MAX_SERVED}", "stop one of them"
            )
        arguments = ["serve", str(folder)]
        jobs.add(Job(run=server_job_name(name), kind="serve", arguments=arguments, text=name))
        return server_fields(services, name)

    @router.post("/runs/{name}/server/stop")
    def stop_server(name: str) -> dict[str, Any]:
        """Serve the model of a run no longer."""
        workspace.run_folder(name)
        jobs.stop(server_job_name(name))
        return {"run": name, "stopping": True}

    return router


def server_fields(services: Services, name: str) -> dict[str, Any]:
    """Return `state`, and what the server printed: its address and key, or why it failed."""
    jobs, job_name = services.jobs, server_job_name(name)
    job, log = jobs.get(job_name), jobs.log(job_name)
    fields: dict[str, Any] = {"state": "stopped", "url": None, "key": None, "problem": None}
    if job is None:
        return fields
    if job.ended_at is not None:
        if job.exit_code is not None and 0 < job.exit_code < 128:
            fields |= {"state": "failed", "problem": log[-1] if log else None}
        return fields
    text = "\n".join(log)
    url, key = _ADDRESS.search(text), _KEY.search(text)
    if url is None or key is None:
        return fields | {"state": "starting"}
    return fields | {"state": "serving", "url": url[1], "key": key[1]}


def server_job_name(name: str) -> str:
    """Return the name under which the server of the run `name` is a job."""
    return f"serve+{name}"
