"""Routes about texts, settings, plans, and the answers of models."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from descend.version import __version__
from descend.web.studio.planning import plan
from descend.web.studio.requests import GenerateRequest, PlanRequest
from descend.web.studio.services import Services
from descend.web.studio.settings import setting_fields
from descend.web.studio.texts import list_texts, save_text, save_text_file

SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "no_repeat_ngram_size",
            "greedy")  # fmt: skip


def text_routes(services: Services) -> APIRouter:
    """Return the routes, over the parts of `services`."""
    router = APIRouter(tags=["texts"])
    workspace, children = services.workspace, services.children

    @router.get("/workspace")
    def show_workspace() -> dict[str, Any]:
        """Show the folder, the version, and what runs or waits."""
        jobs = [{"run": j.run, "kind": j.kind, "waits": j.began_at is None, "text": j.text}
                for j in services.jobs.active()]  # fmt: skip
        return {
            "folder": workspace.root.name, "version": __version__, "jobs": jobs,
            "runs_at_a_time": services.jobs.max_running,
        }  # fmt: skip

    @router.get("/texts")
    def texts() -> dict[str, Any]:
        """List the texts to train on."""
        return {"texts": list_texts(workspace)}

    @router.put("/texts/{name}", status_code=201)
    async def upload(name: str, request: Request) -> dict[str, Any]:
        """Store the body as a text of this name."""
        size = await save_text(workspace, name, request.stream())
        children.forget()
        return {"name": name, "bytes": size}

    @router.put("/texts/{name}/files/{file}", status_code=201)
    async def upload_file(name: str, file: str, request: Request) -> dict[str, Any]:
        """Store the body as a file of the text `name`, which is a folder."""
        size = await save_text_file(workspace, name, file, request.stream())
        children.forget()
        return {"name": name, "file": file, "bytes": size}

    @router.get("/texts/{name}/statistics")
    async def statistics(name: str) -> dict[str, Any]:
        """Measure a text: documents, tokens, duplicates, and what any model must beat."""
        answer = await children.ask("corpus", "stats", workspace.corpus(name))
        return {key: value for key, value in answer.items() if key != "corpus"} | {"name": name}

    @router.get("/settings")
    def settings() -> dict[str, Any]:
        """List every setting with default, range and meaning."""
        return {"settings": setting_fields()}

    @router.post("/plan")
    async def make_plan(body: PlanRequest) -> dict[str, Any]:
        """Plan a run for so many minutes: size, steps, and the loss to expect."""
        corpus = workspace.corpus(body.text)
        return await plan(children, corpus, body.minutes, body.settings)

    return router


def talk_routes(services: Services) -> APIRouter:
    """Return the routes that a model answers, over the parts of `services`."""
    router = APIRouter(tags=["models"])

    @router.get("/runs/{name}/model")
    async def model(name: str) -> dict[str, Any]:
        """Load the model of a run, and show its size."""
        return await services.talk.describe(name)

    @router.post("/runs/{name}/generate")
    async def generate(name: str, body: GenerateRequest) -> StreamingResponse:
        """Continue a text: lines of JSON, each with some tokens and their probabilities."""
        options = {key: getattr(body, key) for key in SAMPLING}
        lines = await services.talk.answer(
            name, body.prompt, body.max_new_tokens, body.seed, options
        )
        return StreamingResponse(lines, media_type="application/x-ndjson")

    return router
