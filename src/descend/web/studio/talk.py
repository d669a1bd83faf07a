"""Text from a trained model, token by token; torch is loaded when the first model is."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from descend.errors import DescendError
from descend.runs.checkpoint_folders import checkpoints
from descend.runs.suggestions import lacks_model
from descend.web.studio.http_errors import TooManyRequestsError, error_fields
from descend.web.studio.workspace import Workspace

if TYPE_CHECKING:
    from descend.api import Model
    from descend.api.token_stream import StreamedToken

MAX_MODELS = 2
"""Models in memory at once."""

MAX_WAITING = 8
"""Answers under way or waiting: a class of eight."""

SEND_SECONDS = 0.05
"""Tokens are sent together as often as this: a reader sees a stream, and a loop stays cheap."""


class Talk:
    """Answers of the models of a workspace, one at a time."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._models: dict[str, tuple[tuple[str | None, int, int], Model]] = {}
        self._loading = threading.Lock()
        self._busy = asyncio.Lock()
        self._waiting = 0

    def load(self, name: str) -> Model:
        """Return the model of the run `name`, read again if its folder changed; takes a second or
        two.

        A run without a model yet is heard by its newest checkpoint.
        """
        from descend.api import load
        from descend.api.inspection import load_at

        folder = self._workspace.run_folder(name)
        with self._loading:
            saved = checkpoints(folder) if lacks_model(folder) else []
            weights = f"checkpoint-{saved[-1][0]}" if saved else None
            stamp = (weights, *_stamp(folder))
            known = self._models.pop(name, None)
            if known is None or known[0] != stamp:
                known = (stamp, load(folder) if weights is None else load_at(folder, weights))
            self._models[name] = known
            while len(self._models) > MAX_MODELS:
                del self._models[next(iter(self._models))]
            return known[1]

    async def describe(self, name: str) -> dict[str, Any]:
        """Load the model, and tell its size."""
        model = await asyncio.to_thread(self.load, name)
        return {
            "name": name,
            "context": model.trained_context,
            "parameters": sum(p.numel() for p in model.network.parameters()),
            "vocab_size": model.network.shape.vocab_size,
        }

    async def answer(
        self, name: str, prompt: str, max_length: int, seed: int | None, options: dict[str, Any]
    ) -> AsyncIterator[bytes]:
        """Return lines of JSON, `{"tokens": […]}` or `{"error": …}`.

        The model is loaded and the options are checked before the first line. At most
        `MAX_WAITING` answers are under way at once.
        """
        if self._waiting >= MAX_WAITING:
            raise TooManyRequestsError(
                "generate", f"{self._waiting} answers under way", f"fewer than {MAX_WAITING}",
                "wait until one has ended",
            )  # fmt: skip
        model = await asyncio.to_thread(self.load, name)
        tokens = await asyncio.to_thread(_tokens, model, prompt, max_length, seed, options)
        return self._lines(tokens)

    async def _lines(self, tokens: Iterator[StreamedToken]) -> AsyncIterator[bytes]:
        self._waiting += 1
        try:
            while batch := await self._next(tokens):
                yield msgspec.json.encode({"tokens": batch}) + b"\n"
        except DescendError as problem:
            yield msgspec.json.encode(error_fields(problem)) + b"\n"
        finally:
            self._waiting -= 1

    async def _next(self, tokens: Iterator[StreamedToken]) -> list[StreamedToken]:
        """Return the next tokens of an answer: one computes at a time, and they take turns."""
        async with self._busy:
            return await asyncio.to_thread(_take, tokens)


def _tokens(
    model: Model, prompt: str, max_length: int, seed: int | None, options: dict[str, Any]
) -> Iterator[StreamedToken]:
    """Return the stream, its first token already made: what is wrong shows before the answer
    begins."""
    from descend.api.token_stream import stream_tokens

    stream = stream_tokens(model, prompt, max_length, seed=seed, **options)
    first = list(itertools.islice(stream, 1))
    return itertools.chain(first, stream)


def _take(tokens: Iterator[StreamedToken]) -> list[StreamedToken]:
    """Return the tokens of the next moment; none at the end."""
    until = time.perf_counter() + SEND_SECONDS
    batch: list[StreamedToken] = []
    for token in tokens:
        batch.append(token)
        if time.perf_counter() >= until:
            break
    return batch


def _stamp(folder: Path) -> tuple[int, int]:
    from descend.runs.run_files import WEIGHTS

    try:
        status = (folder / WEIGHTS).stat()
    except OSError:
        return (0, 0)
    return status.st_mtime_ns, status.st_size
