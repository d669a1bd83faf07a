"""Routes with what else can be done with a run: report, export, evaluation, checklist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from descend.runs.atomic_write import PRIVATE, make_folder
from descend.web.studio.experiment_routes import Experiments
from descend.web.studio.requests import EvaluationRequest, ExportRequest, PushRequest
from descend.web.studio.run_routes import as_json
from descend.web.studio.services import Services
from descend.web.studio.workspace import Workspace, check_name, no_such_item

BINARY = "application/octet-stream"
"""Whatever is downloaded is stored and not shown: a page of a stranger would be of our origin."""


def run_tool_routes(services: Services) -> APIRouter:
    """Return the routes, over the parts of `services`."""
    router = APIRouter(tags=["after a run"])
    workspace, children = services.workspace, services.children

    @router.get("/runs/{name}/checklist")
    async def checklist(name: str) -> Response:
        """Answer five questions about a run: size, learning rate, batch size, context, data."""
        answer = await children.ask("checklist", str(workspace.run_folder(name)), stamp=object())
        return as_json({key: value for key, value in answer.items() if key != "run"})

    @router.post("/runs/{name}/evaluation")
    async def evaluate(name: str, body: EvaluationRequest) -> Response:
        """Measure the model of a run on another text."""
        folder, corpus = workspace.run_folder(name), workspace.corpus(body.text)
        answer = await children.ask("evaluate", str(folder), corpus, stamp=object())
        return as_json(answer | {"text": body.text})

    @router.post("/runs/{name}/export", status_code=201)
    async def export(name: str, body: ExportRequest) -> dict[str, Any]:
        """Write the model of a run in the format of another program."""
        folder = workspace.run_folder(name)
        target = workspace.export_path(export_name(name, body.format))
        make_folder(workspace.exports, PRIVATE)
        arguments = ["export", str(folder), "--to", body.format, "--output", str(target)]
        if body.type is not None:
            arguments += ["--type", body.type]
        answer = await children.ask(*arguments, stamp=object())
        files = [
            {"name": Path(file["path"]).name, "bytes": file["size_bytes"]}
            for file in answer["files"]
        ]
        return {"export": target.name, "format": answer["format"], "type": answer["type"],
                "context": answer["context"], "files": files}  # fmt: skip

    @router.post("/runs/{name}/push", status_code=201)
    async def push(name: str, body: PushRequest) -> dict[str, Any]:
        """Upload the model of a run, or its export, to the Hugging Face hub."""
        folder = workspace.run_folder(name)
        if body.format is not None:
            folder = workspace.export_path(export_name(name, body.format))
            if not folder.is_dir():
                raise no_such_item("export", folder.name)
        arguments = ["push", str(folder), body.repository, *(["--public"] if body.public else [])]
        answer = await children.ask(*arguments, stamp=object())
        return {key: answer[key] for key in ("repository", "url", "files", "private")}

    @router.get("/exports/{name}/files/{file}")
    def download(name: str, file: str) -> FileResponse:
        """Download a file of an export."""
        path = workspace.export_path(name) / check_name(file, "file")
        return attach(path, file)

    return router


def report_routes(services: Services) -> APIRouter:
    """Return the routes that write and download reports, over the parts of `services`."""
    router = APIRouter(tags=["reports"])
    workspace, children = services.workspace, services.children

    @router.post("/runs/{name}/report", status_code=201)
    async def make_report(name: str) -> dict[str, Any]:
        """Write the report of a run; `GET` downloads it."""
        return await write(workspace.run_folder(name), name)

    @router.get("/runs/{name}/report")
    def download_report(name: str) -> FileResponse:
        """Download the report of a run."""
        return attach(report_file(workspace, name), f"{name}.html")

    @router.post("/experiments/{name}/report", status_code=201)
    async def make_experiment_report(name: str) -> dict[str, Any]:
        """Write the report of an experiment; `GET` downloads it."""
        folder = workspace.experiment_path(Experiments(services).check(name))
        return await write(folder, f"experiment+{name}")

    @router.get("/experiments/{name}/report")
    def download_experiment_report(name: str) -> FileResponse:
        """Download the report of an experiment."""
        return attach(report_file(workspace, f"experiment+{name}"), f"{name}.html")

    async def write(folder: Path, name: str) -> dict[str, Any]:
        file = report_file(workspace, name)
        answer = await children.ask("report", str(folder), "--output", str(file), stamp=object())
        return {key: answer[key] for key in ("bytes", "sections", "figures", "warnings")}

    return router


def export_name(run: str, file_format: str) -> str:
    """Return the name of the export of a run in a format."""
    return f"{run[:80]}-{file_format}"


def report_file(workspace: Workspace, name: str) -> Path:
    """Return where the report of a run, or of the job of an experiment, is written."""
    return workspace.reports / f"{check_name(name, 'run')}.html"


def attach(path: Path, name: str) -> FileResponse:
    """Return a file to be stored under `name`; `NoSuchItemError` where there is none."""
    if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
        raise no_such_item("file", name)
    return FileResponse(path, media_type=BINARY, filename=name)
