"""Routes about what belongs to a run: its tags and note, and runs that go on from its model."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from descend.runs.annotation import (
    MAX_NOTE,
    MAX_TAGS,
    RunAnnotation,
    read_annotation,
    write_annotation,
)
from descend.runs.recorded_run import RecordedRun
from descend.runs.suggestions import lacks_model
from descend.web.studio.http_errors import NotNowError
from descend.web.studio.jobs import Job
from descend.web.studio.requests import Body
from descend.web.studio.run_routes import as_json
from descend.web.studio.services import Services


class AnnotationRequest(Body):
    """Tags and a note of a run."""

    tags: list[str] = Field(default_factory=list, max_length=MAX_TAGS)
    note: str = Field("", max_length=MAX_NOTE)


class ContinueRequest(Body):
    """What a model is trained further on."""

    text: str | None = Field(None, max_length=100)
    """The text of the run, if it is left out."""


def family_routes(services: Services) -> APIRouter:
    """Return the routes, over the parts of `services`."""
    router = APIRouter(tags=["runs"])
    workspace, jobs, views = services.workspace, services.jobs, services.views

    @router.put("/runs/{name}/annotation")
    def annotate(name: str, body: AnnotationRequest) -> Response:
        """Write tags and a note about a run; they change nothing about it."""
        folder = workspace.run_folder(name)
        origin = read_annotation(folder).origin
        return as_json(write_annotation(folder, RunAnnotation(body.tags, body.note, origin)))

    @router.post("/runs/{name}/continue", status_code=201)
    def continue_run(name: str, body: ContinueRequest | None = None) -> dict[str, Any]:
        """Train the model of a finished run further, on its own or another text, as a new run."""
        folder = workspace.run_folder(name)
        if lacks_model(folder):
            raise NotNowError(name, "a run without a model", "a finished run", "resume it first")
        other = None if body is None else body.text
        text = other or str(RecordedRun(folder).metadata.corpus["corpus"])
        corpus = () if other is None else (workspace.corpus(other),)
        with jobs.naming:
            new = workspace.new_run_name(text, {job.run for job in jobs.all()})
            target = str(workspace.run_path(new))
            arguments = ["continue", str(folder), *corpus, "--save-dir", target]
            jobs.add(Job(run=new, kind="train", arguments=arguments, text=text, origin=name))
        return {"run": new, "state": views.state(new)}

    return router
