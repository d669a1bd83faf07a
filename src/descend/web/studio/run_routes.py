"""Routes about runs: list, details, curve, events, start, stop, resume."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from descend.config import make_config
from descend.errors import DescendError
from descend.guard import encode_json
from descend.runs.atomic_write import write_file_atomic
from descend.runs.pause_request import request_pause, withdraw_pause
from descend.runs.planned_models import find_models
from descend.runs.recorded_run import RecordedRun
from descend.runs.run_files import is_run_folder
from descend.web.studio.curve import MAX_POINTS
from descend.web.studio.feed import Cursor
from descend.web.studio.http_errors import NotNowError
from descend.web.studio.jobs import Job
from descend.web.studio.requests import StartRequest
from descend.web.studio.run_views import compare_configs, read_metadata
from descend.web.studio.services import Services
from descend.web.studio.settings import check_settings
from descend.web.studio.tokenizers import find_tokenizer
from descend.web.studio.workspace import Workspace

LOOK_SECONDS = 0.4
"""Between two looks at a run that is watched: a step shows within a second."""

STATE_EVERY = 5
"""Looks between two accounts of speed and time left."""

MAX_COMPARED = 8
END = b"event: end\ndata: {}\n\n"
BUSY = ("waiting", "starting", "running", "paused")


def run_routes(services: Services) -> APIRouter:
    """Return the routes, over the parts of `services`."""
    router = APIRouter(tags=["runs"])
    workspace, views = services.workspace, services.views

    @router.get("/runs")
    def list_runs() -> Response:
        """List every run of the workspace, the newest first."""
        return as_json({"runs": views.rows()})

    @router.get("/runs/compare")
    def compare(
        run: Annotated[list[str], Query(min_length=2, max_length=MAX_COMPARED)],
    ) -> Response:
        """Put the settings and results of two to eight runs side by side."""
        folders = [workspace.run_folder(name) for name in run]
        rows = compare_configs(read_metadata(folders))
        known = {row.name: row for row in views.rows()}
        return as_json({"runs": [known[name] for name in run], "settings": rows})

    @router.get("/runs/{name}")
    def run_details(name: str) -> Response:
        """Show settings, state, progress and result of a run."""
        return as_json(views.details(name))

    @router.get("/runs/{name}/curve")
    def curve(
        name: str, points: Annotated[int, Query(ge=10, le=5000)] = MAX_POINTS
    ) -> Response:  # fmt: skip
        """Show the curve of a run in at most so many points; spikes stay."""
        workspace.run_folder(name)
        return as_json(views.feed(name).curve(points))

    @router.get("/runs/{name}/events")
    async def events(name: str, request: Request) -> StreamingResponse:
        """Follow a run by server-sent events: `news` and `state`, until it has ended."""
        await asyncio.to_thread(views.details, name)  # 404 before the stream
        return StreamingResponse(
            _watch(services, name, request), media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )  # fmt: skip

    return router


def control_routes(services: Services) -> APIRouter:
    """Return the routes that start and stop runs, over the parts of `services`."""
    router = APIRouter(tags=["runs"])
    workspace, jobs, views = services.workspace, services.jobs, services.views

    @router.post("/runs", status_code=201)
    def start_run(body: StartRequest) -> dict[str, Any]:
        """Start a run in a process of its own, or put it into the queue."""
        corpus = workspace.corpus(body.text)
        settings = requested_settings(workspace, body)
        with jobs.naming:
            name = workspace.new_run_name(body.text, {job.run for job in jobs.all()})
            own = {"corpus_dir": corpus, "save_dir": str(workspace.run_path(name))}
            make_config(settings | own)
            write_file_atomic(jobs.config_file(name), json.dumps(settings | own).encode())
            arguments = ["train", "--config", str(jobs.config_file(name))]
            jobs.add(Job(
                run=name, kind="train", arguments=arguments, text=body.text, minutes=body.minutes
            ))  # fmt: skip
        return {"run": name, "state": views.state(name)}

    @router.post("/runs/{name}/stop")
    def stop(name: str) -> dict[str, Any]:
        """Ask a run to save and stop, or take it out of the queue."""
        models = find_models(workspace.run_path(name))
        is_teacher = models is not None and not jobs.is_active(name)
        jobs.stop(models.last.name if models and is_teacher else name)
        return {"run": name, "stopping": True}

    @router.post("/runs/{name}/pause")
    def pause(name: str) -> dict[str, Any]:
        """Let a run wait after its next step, with all that it has in memory."""
        folder = workspace.run_folder(name)
        if views.state(name) != "running":
            raise NotNowError(name, f"a run that is {views.state(name)}", "a run that trains",
                              "look at the list")  # fmt: skip
        request_pause(folder)
        return {"run": name, "pausing": True}

    @router.post("/runs/{name}/resume")
    def resume(name: str) -> dict[str, Any]:
        """Go on with a paused or stopped run where it was."""
        if views.state(name) in ("running", "paused"):
            withdraw_pause(workspace.run_folder(name))
            return {"run": name, "state": "running"}
        models = find_models(workspace.run_path(name))
        if models and not is_run_folder(models.last):
            folder = workspace.run_folder(models.teachers[-1].name)
        else:
            folder = workspace.run_folder(name)
        if views.state(name) != "stopped":
            raise NotNowError(name, f"a run that is {views.state(name)}", "a stopped run",
                              "start another run")  # fmt: skip
        text = RecordedRun(folder).metadata.corpus["corpus"]
        jobs.add(Job(run=name, kind="resume", arguments=["resume", str(folder)], text=str(text)))
        return {"run": name, "state": views.state(name)}

    return router


def requested_settings(workspace: Workspace, request: StartRequest) -> dict[str, Any]:
    """Return the settings of a run that is to be started; `ConfigError` for one that is wrong."""
    check_settings(request.settings)
    settings = dict(request.settings)
    if request.minutes is not None:
        settings["minutes"] = request.minutes
    if request.tokenizer_file is not None:
        settings["vocab_path"] = str(find_tokenizer(workspace, request.tokenizer_file))
    return settings


async def _watch(services: Services, name: str, request: Request) -> AsyncIterator[bytes]:
    """Server-sent events of the run `name`: its curve so far, then what is new."""
    cursor, looks = Cursor(), 0
    last_state = b""
    while not await request.is_disconnected():
        try:
            feed = await asyncio.to_thread(services.views.feed, name)
            is_due = looks % STATE_EVERY == 0 or feed.stopped is not None
            details = await asyncio.to_thread(services.views.details, name) if is_due else None
        except (DescendError, OSError):  # deleted while it was watched
            yield END
            return
        news = feed.news(cursor)
        if news["reset"] or any(news[key] for key in ("points", "epochs", "samples", "messages")):
            yield b"event: news\ndata: " + encode_json(news) + b"\n\n"
        if details is not None:
            state = encode_json(details)
            is_new, last_state = state != last_state, state
            yield b"event: state\ndata: " + state + b"\n\n" if is_new else b": still here\n\n"
            if details["state"] not in BUSY:
                yield END
                return
        looks += 1
        await asyncio.sleep(LOOK_SECONDS)


def as_json(content: Any) -> Response:
    """Return `content` as JSON; what is not a finite number becomes null."""
    return Response(encode_json(content), media_type="application/json")
