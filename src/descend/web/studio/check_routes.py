"""Routes that check a training program, fine-tuning data, or a loss log of another program."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from descend.web.studio.checkable_files import check_path, list_files, save_checked_file
from descend.web.studio.requests import CheckRequest
from descend.web.studio.run_routes import as_json
from descend.web.studio.services import Services

VERBS = {"program": "check", "data": "check", "log": "diagnose"}
PATHS = ("file", "program", "run")
"""Keys of an answer that hold a path of this machine."""


def check_routes(services: Services) -> APIRouter:
    """Return the routes, over the parts of `services`."""
    router = APIRouter(tags=["checks"])
    workspace, children = services.workspace, services.children

    @router.get("/checks/files")
    def files() -> dict[str, Any]:
        """List the files of the workspace that can be checked, by what they are."""
        return {"files": list_files(workspace)}

    @router.put("/checks/files/{file}", status_code=201)
    async def upload_checked_file(file: str, request: Request) -> dict[str, Any]:
        """Store the body as data or a log to be checked. Programs are not taken."""
        size = await save_checked_file(workspace, file, request.stream())
        return {"file": file, "folder": "checks", "bytes": size}

    @router.post("/checks")
    async def check(body: CheckRequest) -> Response:
        """Check a file. A program runs, in a process of its own and in a copy of its folder."""
        path = check_path(workspace, body.kind, body.folder, body.file)
        answer = await children.ask(VERBS[body.kind], str(path), stamp=object())
        fields = {key: value for key, value in answer.items() if key not in PATHS}
        return as_json(fields | {"kind": body.kind, "name": body.file})

    return router
