"""Generated text token by token, with the probability that the model gave each."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec
import torch
from torch import Tensor

from descend.api.model import Model
from descend.data.tokenizer import Tokenizer
from descend.model.generation import FinishReason, TextChunk, generate_text
from descend.model.sampling import make_sampling_options
from descend.model.transformer import Transformer
from descend.training.process_settings import limit_threads_to_idle_cores

NUM_ALTERNATIVES = 5


class Alternative(msgspec.Struct, frozen=True):
    """A token that might have come, and its probability."""

    text: str
    probability: float


class StreamedToken(msgspec.Struct, frozen=True):
    """A token of the answer.

    Probabilities are the model's own, before temperature and the other sampling options.
    """

    text: str
    """The text that became certain with it; empty in the midst of a character."""
    probability: float
    alternatives: list[Alternative]
    """The likeliest tokens at this position, most likely first."""
    finish: FinishReason | None


class _LogitRecorder:
    """Stands for a model, and keeps the logits (1, V) of its last call."""

    def __init__(self, model: Transformer) -> None:
        self._model = model
        self.logits: Tensor | None = None

    def __call__(self, *arguments: Any, **options: Any) -> Tensor:
        logits: Tensor = self._model(*arguments, **options)
        self.logits = logits[:, -1]
        return logits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def stream_tokens(
    model: Model, prompt: str, max_length: int = 50, *, seed: int | None = None,
    stop: Sequence[str] = (), **sampling_options: Any,
) -> Iterator[StreamedToken]:  # fmt: skip
    """Continue `prompt` token by token, with probabilities; the options are those of `predict`."""
    recorder = _LogitRecorder(model.network)
    chunks = generate_text(
        cast(Transformer, recorder), model.tokenizer, [prompt],
        make_sampling_options(sampling_options), max_new_tokens=max_length, stop_strings=stop,
        context=model.trained_context, seed=secrets.randbits(32) if seed is None else seed,
    )  # fmt: skip
    while chunk := _next_chunk(chunks):
        assert recorder.logits is not None
        probabilities = torch.softmax(recorder.logits[0].float(), -1)
        yield StreamedToken(
            chunk.text, float(probabilities[chunk.id]),
            _alternatives(probabilities, model.tokenizer), chunk.finish,
        )  # fmt: skip


def _next_chunk(chunks: Iterator[TextChunk]) -> TextChunk | None:
    """Return the next token with its text, or None after the last.

    The threads are limited token by token: two answers may take turns, and end in any order.
    """
    with limit_threads_to_idle_cores():
        return next(chunks, None)


def _alternatives(probabilities_V: Tensor, tokenizer: Tokenizer) -> list[Alternative]:
    values, ids = probabilities_V.topk(min(NUM_ALTERNATIVES, len(probabilities_V)))
    return [
        Alternative(tokenizer.decode([token_id]), value)
        for value, token_id in zip(values.tolist(), ids.tolist(), strict=True)
    ]
