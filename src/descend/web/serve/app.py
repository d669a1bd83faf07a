"""The routes of the OpenAI interface, behind the gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from descend.data.tokenizer import Tokenizer
from descend.web.credentials import Credentials
from descend.web.gate import Gate, GateRules
from descend.web.serve.answers import Answer
from descend.web.serve.engine import Engine, EngineBusyError, EngineError, TextPiece
from descend.web.serve.protocol import (
    BadRequestError,
    ChatRequest,
    CompletionRequest,
    Job,
    chat_job,
    completion_job,
    decode_request,
)

MAX_BODY_BYTES = 2**20
"""Bytes of a request: 1 MiB, far above the longest context."""

PUBLIC = frozenset({("GET", "/health")})
"""What answers without the key: whether the server is up."""

SIGN_IN = "Send the key that the terminal shows as `Authorization: Bearer KEY`."


@dataclass(frozen=True)
class ServedModel:
    """The model that a server answers for."""

    name: str
    tokenizer: Tokenizer
    context: int
    created: int
    """Seconds since 1970, of its weights."""


def make_gated_app(
    engine: Engine, model: ServedModel, credentials: Credentials, hosts: frozenset[str]
) -> Gate:
    """Return the application as it is served: only the key opens it."""
    rules = GateRules(
        hosts, credentials, None, PUBLIC, None, _max_body_bytes, sign_in=SIGN_IN
    )  # fmt: skip
    return Gate(make_app(engine, model), rules)


def _max_body_bytes(method: str, _: str) -> int:
    return MAX_BODY_BYTES if method == "POST" else 0


def make_app(engine: Engine, model: ServedModel) -> Starlette:
    """Return the routes, without the gate."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        engine.start()
        yield
        await asyncio.to_thread(engine.stop)

    async def list_models(_: Request) -> Response:
        return _json({"object": "list", "data": [_describe(model)]})

    async def show_model(request: Request) -> Response:
        _check_name(request.path_params["name"], model)
        return _json(_describe(model))

    async def complete(request: Request) -> Response:
        body = decode_request(await request.body(), CompletionRequest)
        _check_name(body.model, model)
        return await _answer(
            request, engine, model, completion_job(body, model.tokenizer, model.context)
        )

    async def chat(request: Request) -> Response:
        body = decode_request(await request.body(), ChatRequest)
        _check_name(body.model, model)
        return await _answer(request, engine, model, chat_job(body, model.tokenizer, model.context))

    async def health(_: Request) -> Response:
        return _json({"status": "ok"})

    return Starlette(
        routes=[
            Route("/v1/models", list_models), Route("/v1/models/{name:path}", show_model),
            Route("/v1/completions", complete, methods=["POST"]),
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/health", health),
        ],
        lifespan=lifespan,
        exception_handlers={
            BadRequestError: _on_bad_request, EngineError: _on_engine_error, 404: _on_unknown_path,
        },
    )  # fmt: skip


def _describe(model: ServedModel) -> dict[str, Any]:
    return {
        "id": model.name, "object": "model", "created": model.created, "owned_by": "descend",
        "max_model_len": model.context,
    }  # fmt: skip


def _check_name(name: str, model: ServedModel) -> None:
    if name != model.name:
        raise BadRequestError(
            f"model: expected {model.name}, but found {name}. Fix: name a model of /v1/models.",
            "model", "model_not_found", 404,
        )  # fmt: skip


async def _answer(request: Request, engine: Engine, model: ServedModel, job: Job) -> Response:
    answer = Answer(job, model.name, model.tokenizer)
    pieces = engine.run(job.texts, job.stop_strings)
    # The first pieces come before the answer begins, so that a failure has its own status.
    first = await _until_disconnect(request, anext(pieces))
    if first is None:
        await pieces.aclose()  # type: ignore[attr-defined]
        return Response(status_code=499)
    if job.stream:
        return StreamingResponse(
            _events(answer, job, first, pieces), media_type="text/event-stream"
        )
    collected = await _until_disconnect(request, _collect(first, pieces))
    if collected is None:
        await pieces.aclose()  # type: ignore[attr-defined]
        return Response(status_code=499)
    answer.count(collected)
    return _json(answer.collect(collected))


async def _collect(
    first: list[TextPiece], pieces: AsyncIterator[list[TextPiece]]
) -> list[TextPiece]:
    collected = list(first)
    async for some in pieces:
        collected += some
    return collected


async def _until_disconnect(request: Request, work: Any) -> Any:
    """Return the result of `work`; None if the client leaves before."""
    task = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait({task})
        return None
    finally:
        leaving.cancel()


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _events(
    answer: Answer, job: Job, first: list[TextPiece], rest: AsyncIterator[list[TextPiece]]
) -> AsyncIterator[bytes]:
    """Yield the events of a stream. What came together for a text is sent together."""
    try:
        if job.is_chat:
            yield b"".join(_event(answer.first_chunk(i)) for i in range(len(job.texts)))
        yield _text_events(answer, first)
        async for pieces in rest:
            if events := _text_events(answer, pieces):
                yield events
        if job.include_usage:
            yield _event(answer.usage_chunk())
        yield b"data: [DONE]\n\n"
    except EngineError as problem:
        yield _event(_error_fields(str(problem), "server_error"))
    finally:
        await rest.aclose()  # type: ignore[attr-defined]


def _text_events(answer: Answer, pieces: list[TextPiece]) -> bytes:
    answer.count(pieces)
    by_text: dict[int, list[TextPiece]] = {}
    for piece in pieces:
        by_text.setdefault(piece.index, []).append(piece)
    chunks = [answer.chunk(of_text) for of_text in by_text.values()]
    return b"".join(_event(chunk) for chunk in chunks if chunk is not None)


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(content) + b"\n\n"


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _error_fields(
    message: str, kind: str, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


async def _on_bad_request(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, BadRequestError)
    fields = _error_fields(str(problem), "invalid_request_error", problem.param, problem.code)
    return _json(fields, problem.status)


async def _on_engine_error(_: Request, problem: Exception) -> Response:
    if isinstance(problem, EngineBusyError):
        return _json(_error_fields(f"{problem}. Fix: try again later.", "server_busy"), 429)
    return _json(_error_fields(str(problem), "server_error"), 500)


async def _on_unknown_path(_: Request, __: Exception) -> Response:
    message = "This path is none of this server. Fix: use /v1/completions or /v1/chat/completions."
    return _json(_error_fields(message, "invalid_request_error"), 404)
