"""Routes that make a text of others, and a tokenizer that several runs share."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from descend.experiments.command_line import format_flags
from descend.runs.atomic_write import PRIVATE, make_folder
from descend.web.studio.http_errors import NotNowError
from descend.web.studio.requests import CorpusRequest, TokenizerRequest
from descend.web.studio.services import Services
from descend.web.studio.settings import check_settings
from descend.web.studio.texts import check_new_text
from descend.web.studio.tokenizers import list_tokenizers

MAX_TOKENIZERS = 200


def corpus_routes(services: Services) -> APIRouter:
    """Return the routes, over the parts of `services`."""
    router = APIRouter(tags=["texts"])
    workspace, children = services.workspace, services.children

    @router.post("/texts/{name}/additions", status_code=201)
    async def add_to_text(name: str, body: CorpusRequest) -> dict[str, Any]:
        """Add the content of some texts to the text `name`, a folder, without duplicates."""
        sources = [str(workspace.text_path(source)) for source in body.sources]
        check_new_text(workspace, name)
        target = workspace.texts / name
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise NotNowError(name, "a file of that name", "a free name", "choose another name")
        arguments = [
            "corpus", "add", *sources, str(target), "--deduplicate", body.deduplicate,
            "--split", body.split, "--min-length", str(body.min_length),
        ]  # fmt: skip
        if body.drop_boilerplate:
            arguments.append("--drop-boilerplate")
        if body.sample_size is not None:
            arguments += ["--sample-size", str(body.sample_size)]
        answer = await children.ask(*arguments, stamp=object())
        children.forget()
        return {key: value for key, value in answer.items() if key != "path"} | {"name": name}

    @router.get("/tokenizers")
    def tokenizers() -> dict[str, Any]:
        """List the tokenizers of the workspace."""
        return {"tokenizers": list_tokenizers(workspace)}

    @router.post("/tokenizers/{name}", status_code=201)
    async def train_tokenizer(name: str, body: TokenizerRequest) -> dict[str, Any]:
        """Train a tokenizer on a text, for several runs."""
        path = workspace.tokenizer_path(name)
        if path.exists() or len(list_tokenizers(workspace)) >= MAX_TOKENIZERS:
            raise NotNowError(
                name, f"a tokenizer of that name, or {MAX_TOKENIZERS}", "a free name",
                "choose another name",
            )  # fmt: skip
        corpus = workspace.corpus(body.text)
        check_settings(body.settings)
        flags = format_flags(body.settings)
        make_folder(workspace.tokenizers, PRIVATE)
        answer = await children.ask(
            "tokenizer", "train", corpus, str(path), *flags, stamp=object()
        )  # fmt: skip
        return {"name": name, "vocab_size": answer["vocab_size"],
                "bytes_per_token": answer["bytes_per_token"]}  # fmt: skip

    return router
