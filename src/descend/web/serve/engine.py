"""One thread that continues the texts of all requests in one batch."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import AsyncIterator, Sequence

import msgspec

from descend.data.tokenizer import Tokenizer
from descend.machine import free_memory_bytes
from descend.model.batch_decoder import BatchDecoder, DecodedToken, DecodeRequest
from descend.model.generation import FinishReason, TextStream
from descend.model.transformer import Transformer

MAX_ROWS = 64
"""Texts in one forward pass unless `--max-batch` says otherwise."""

CACHE_FRACTION = 0.25
"""Of the free memory, for keys and values."""

MAX_WAITING = 1024
"""Texts under way or waiting; further requests are asked to come later."""


class TextPiece(msgspec.Struct, frozen=True):
    """What a token adds to the text number `index` of a request."""

    index: int
    text: str
    """What became certain; empty where more tokens decide."""
    token: DecodedToken
    finish: FinishReason | None


class EngineError(Exception):
    """The engine cannot go on with a text."""


class EngineBusyError(EngineError):
    """More texts are under way than the engine takes."""


class _Text:
    """A text of a request, on its way to the queue of the request."""

    def __init__(self, index: int, stream: TextStream, queue: asyncio.Queue[_Item]) -> None:
        self.index, self.stream, self.queue = index, stream, queue


_Item = TextPiece | EngineError


class Engine:
    """Continues texts in a thread of its own; started and stopped by the event loop it serves."""

    def __init__(
        self, model: Transformer, tokenizer: Tokenizer, context: int, max_rows: int = MAX_ROWS
    ) -> None:
        self._tokenizer = tokenizer
        self._decoder = BatchDecoder(
            model, tokenizer.eos_token_id, context, limit_rows(model, context, max_rows)
        )
        self._condition = threading.Condition()
        self._new: list[tuple[int, DecodeRequest]] = []
        self._cancelled: list[int] = []
        self._is_stopping = False
        self._texts: dict[int, _Text] = {}
        """By key. Only the event loop adds and removes."""
        self._keys = itertools.count()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin, for the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="descend-engine", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the token under way."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()

    async def run(
        self, texts: Sequence[DecodeRequest], stop_strings: Sequence[str]
    ) -> AsyncIterator[list[TextPiece]]:
        """Yield what all `texts` gained since the last time, until each has ended.

        A reader that leaves ends its texts. Raises `EngineError`.
        """
        if len(self._texts) + len(texts) > MAX_WAITING:
            raise EngineBusyError(f"{len(self._texts)} texts are under way")
        queue: asyncio.Queue[_Item] = asyncio.Queue()
        keys = [next(self._keys) for _ in texts]
        for index, key in enumerate(keys):
            self._texts[key] = _Text(index, TextStream(self._tokenizer, stop_strings), queue)
        with self._condition:
            self._new += zip(keys, texts, strict=True)
            self._condition.notify()
        try:
            remaining = len(keys)
            while remaining:
                pieces = [await queue.get()]
                while not queue.empty():
                    pieces.append(queue.get_nowait())
                for piece in pieces:
                    if isinstance(piece, EngineError):
                        raise piece
                    remaining -= piece.finish is not None
                yield [piece for piece in pieces if isinstance(piece, TextPiece)]
        finally:
            left = [key for key in keys if self._texts.pop(key, None) is not None]
            self._cancel(left)

    def _cancel(self, keys: list[int]) -> None:
        if keys:
            with self._condition:
                self._cancelled += keys
                self._condition.notify()

    def _work(self) -> None:
        """Run the thread: take what is new, make a token for each text, hand them over."""
        while self._take_changes():
            try:
                tokens = self._decoder.step()
            except Exception as problem:  # one bad batch must not end the server
                logging.getLogger("descend").exception("the engine failed")
                self._decoder.clear()
                self._call(self._fail, f"{type(problem).__name__}: {problem}")
                continue
            if tokens:
                self._call(self._deliver, tokens)

    def _take_changes(self) -> bool:
        """Wait until there is something to do; whether to go on."""
        with self._condition:
            while not (
                self._new or self._cancelled or self._is_stopping or self._decoder.num_texts
            ):
                self._condition.wait()
            new, self._new = self._new, []
            cancelled, self._cancelled = self._cancelled, []
            is_stopping = self._is_stopping
        for key, request in new:
            self._decoder.add(key, request)
        for key in cancelled:
            self._decoder.remove(key)
        return not is_stopping

    def _call(self, function: object, argument: object) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, argument)  # type: ignore[arg-type]
        except RuntimeError:  # the loop has ended
            self._is_stopping = True

    def _deliver(self, tokens: list[DecodedToken]) -> None:
        """On the event loop: turn tokens into text and wake their requests."""
        stopped = []
        for token in tokens:
            assert isinstance(token.key, int)
            text = self._texts.get(token.key)
            if text is None:
                continue
            finish = token.finish
            if finish != "end" and text.stream.push(token.id):
                finish = "stop"
            text.queue.put_nowait(
                TextPiece(text.index, text.stream.flush(last=finish is not None), token, finish)
            )
            if finish:
                del self._texts[token.key]
                if finish == "stop":
                    stopped.append(token.key)
        self._cancel(stopped)

    def _fail(self, reason: str) -> None:
        for text in self._texts.values():
            text.queue.put_nowait(EngineError(reason))


def limit_rows(model: Transformer, context: int, max_rows: int) -> int:
    """Return how many texts of `context` tokens have room in `CACHE_FRACTION` of the memory."""
    weight = model.token_embedding.weight
    memory = free_memory_bytes(str(weight.device))
    if memory is None:
        return max_rows
    row_bytes = 2 * model.shape.num_layers * context * model.shape.embed_dim * weight.element_size()
    return max(1, min(max_rows, int(CACHE_FRACTION * memory / row_bytes)))
