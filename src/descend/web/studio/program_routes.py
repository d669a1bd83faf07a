"""Routes that try changes of a training program in paired trials, as `descend diagnose --program`.

A program is one of the workspace's own folders: none is taken from the page, nor is a command.
"""

from __future__ import annotations

import hashlib
import shlex
import time
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import Response

from descend.web.studio.checkable_files import check_path
from descend.web.studio.jobs import Job
from descend.web.studio.requests import ProgramFile, ProgramTrialsRequest
from descend.web.studio.run_routes import as_json
from descend.web.studio.services import Services

MAX_LINES = 40
"""Lines of output that a page gets, the newest of them."""


def program_routes(services: Services) -> APIRouter:
    """Return the routes, over the parts of `services`."""
    router = APIRouter(tags=["checks"])
    workspace, jobs = services.workspace, services.jobs

    @router.get("/checks/programs/trials")
    def show_trials(
        file: Annotated[str, Query(max_length=100)],
        folder: Annotated[str, Query(max_length=100)] = "",
    ) -> Response:
        """Show the trials of a program so far, and what they say at the end."""
        check_path(workspace, "program", folder, file)
        return as_json(trial_fields(services, program_job_name(folder, file)))

    @router.post("/checks/programs/trials", status_code=202)
    def start_trials(body: ProgramTrialsRequest) -> dict[str, Any]:
        """Run a program in paired trials, each in a copy of its folder."""
        path = check_path(workspace, "program", body.folder, body.file)
        mappings = [f"{key}={flag}" for key, flag in body.flags.items()]
        from descend.program_trials.program_flags import parse_program

        parse_program(shlex.join(["python", str(path)]), mappings)  # refuses before it waits
        place = str(path.relative_to(workspace.root))
        arguments = [
            "diagnose", "--program", shlex.join(["python", place]), f"--metric={body.metric}",
            *(f"--map={mapping}" for mapping in mappings), "--seeds", str(body.seeds),
            "--trial-seconds", f"{body.trial_seconds:g}", "--json",
        ]  # fmt: skip
        job = program_job_name(body.folder, body.file)
        jobs.add(Job(run=job, kind="program", arguments=arguments, text=place))
        return {"folder": body.folder, "file": body.file}

    @router.post("/checks/programs/trials/stop")
    def stop_trials(body: ProgramFile) -> dict[str, Any]:
        """Stop the trials of a program."""
        check_path(workspace, "program", body.folder, body.file)
        jobs.stop(program_job_name(body.folder, body.file))
        return {"folder": body.folder, "file": body.file, "stopping": True}

    return router


def trial_fields(services: Services, name: str) -> dict[str, Any]:
    """Return how far the trials of a program are, and their answer in sentences."""
    jobs, job = services.jobs, services.jobs.get(name)
    if job is None:
        return {"state": "none"}
    if job.ended_at is None:
        began = job.began_at
        return {
            "state": "waiting" if began is None else "running", "log": jobs.log(name)[-MAX_LINES:],
            "elapsed_seconds": 0.0 if began is None else round(time.time() - began, 1),
        }  # fmt: skip
    answer = jobs.answer(name) or {}
    if "verdict" in answer:
        return {"state": "finished", "verdict": answer["verdict"], "sentences": _describe(answer)}
    problem = answer.get("error", {}).get("message")
    return {"state": "failed" if problem else "stopped", "problem": problem}


def _describe(answer: dict[str, Any]) -> list[str]:
    from descend.program_trials.diagnose_program import ProgramDiagnosis
    from descend.report.text.program_diagnosis import format_program_diagnosis

    diagnosis = msgspec.convert(answer, ProgramDiagnosis, strict=False)
    return [line.strip() for line in format_program_diagnosis(diagnosis).splitlines()]


def program_job_name(folder: str, file: str) -> str:
    """Return the name under which the trials of a program are a job: the same for the same
    program."""
    return f"program+{hashlib.sha256(f'{folder}/{file}'.encode()).hexdigest()[:16]}"
