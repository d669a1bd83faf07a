"""The application: routes behind the gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from descend.errors import DescendError
from descend.guard import encode_json
from descend.runs.atomic_write import os_error_sentence
from descend.version import __version__
from descend.web.gate import Gate, GateRules
from descend.web.studio.after_run_routes import after_run_routes, diagnosis_routes
from descend.web.studio.check_routes import check_routes
from descend.web.studio.corpus_routes import corpus_routes
from descend.web.studio.experiment_end_routes import experiment_end_routes
from descend.web.studio.experiment_routes import experiment_routes
from descend.web.studio.family_routes import family_routes
from descend.web.studio.forecast_routes import forecast_routes
from descend.web.studio.handbook_routes import handbook_routes
from descend.web.studio.http_errors import error_fields, http_status
from descend.web.studio.improvement_routes import improvement_routes
from descend.web.studio.inspect_routes import inspect_routes
from descend.web.studio.lesson_routes import lesson_routes
from descend.web.studio.pages import page_routes
from descend.web.studio.program_routes import program_routes
from descend.web.studio.run_routes import control_routes, run_routes
from descend.web.studio.run_tool_routes import report_routes, run_tool_routes
from descend.web.studio.server_routes import server_routes
from descend.web.studio.services import Services
from descend.web.studio.text_routes import talk_routes, text_routes
from descend.web.studio.texts import MAX_TEXT_BYTES

API = "/api/v1"

MAX_BODY_BYTES = 2**17
"""Bytes of a request but that of a text: 128 KiB, six times the longest prompt."""

LOOK_SECONDS = 0.5
"""Between two looks at the processes: the next of the queue starts so soon."""

API_ROUTES = (
    run_routes, control_routes, after_run_routes, diagnosis_routes, family_routes, forecast_routes,
    improvement_routes, lesson_routes, text_routes, talk_routes, inspect_routes, experiment_routes,
    experiment_end_routes, check_routes, program_routes, corpus_routes, server_routes,
    run_tool_routes, report_routes, handbook_routes,
)  # fmt: skip
"""Functions that return the routes of the interface."""

PUBLIC = frozenset({
    ("GET", "/login"), ("POST", "/login"), ("GET", "/static/studio.css"),
    ("GET", "/static/icon.svg"),
})  # fmt: skip
"""What answers without a credential."""


class PlainJSONResponse(JSONResponse):
    """JSON in which no number and no file name is an error."""

    def render(self, content: Any) -> bytes:
        """Encode `content`."""
        return encode_json(content)


def make_app(services: Services, cookie: str) -> FastAPI:
    """Return the routes, without the gate."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        looking = asyncio.create_task(_look_at_jobs(services))
        yield
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking

    app = FastAPI(
        title="descend studio", version=__version__, lifespan=lifespan, docs_url=None,
        redoc_url=None, openapi_url=f"{API}/openapi.json", redirect_slashes=False,
        default_response_class=PlainJSONResponse,
        description="Everything that the page does. Send `Authorization: Bearer KEY`; the key is "
        "in .studio/api_key of the folder.",
    )  # fmt: skip
    app.include_router(page_routes(services, cookie))
    for make_routes in API_ROUTES:
        app.include_router(make_routes(services), prefix=API)
    app.add_exception_handler(DescendError, _on_error)
    app.add_exception_handler(OSError, _on_os_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    return app


def make_gated_app(services: Services, hosts: frozenset[str], cookie: str) -> Gate:
    """Return the application as it is served."""
    rules = GateRules(hosts, services.credentials, cookie, PUBLIC, "/login", max_body_bytes)
    return Gate(make_app(services, cookie), rules)


def max_body_bytes(method: str, path: str) -> int:
    """Return bytes that a request may carry."""
    if method == "PUT" and path.startswith((f"{API}/texts/", f"{API}/checks/files/")):
        return MAX_TEXT_BYTES
    return MAX_BODY_BYTES if method in ("POST", "PUT") else 0


async def _look_at_jobs(services: Services) -> None:
    while True:
        with suppress(DescendError, OSError):  # the disk may have room again at the next look
            await asyncio.to_thread(services.jobs.refresh)
        await asyncio.sleep(LOOK_SECONDS)


async def _on_error(_: Request, problem: Exception) -> PlainJSONResponse:
    assert isinstance(problem, DescendError)
    return PlainJSONResponse(error_fields(problem), http_status(problem))


async def _on_os_error(request: Request, problem: Exception) -> PlainJSONResponse:
    assert isinstance(problem, OSError)
    return await _on_error(request, os_error_sentence(problem))


async def _on_http_error(_: Request, problem: Exception) -> PlainJSONResponse:
    assert isinstance(problem, HTTPException)
    return PlainJSONResponse({"error": {"message": f"{problem.detail}."}}, problem.status_code)


async def _on_invalid(_: Request, problem: Exception) -> PlainJSONResponse:
    """Say in one sentence which field of a body or a query is not as documented."""
    assert isinstance(problem, RequestValidationError)
    first = problem.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "request"
    text = f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}."
    return PlainJSONResponse({"error": {"kind": "ValidationError", "message": text}}, 422)
