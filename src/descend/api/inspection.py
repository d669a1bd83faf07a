"""What goes on inside a model while it reads a text, in plain numbers and token texts."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from descend.api.model import Model
from descend.data.tokenizer import Tokenizer
from descend.errors import UserError
from descend.metrics.ablation import Ablation, ablate, ablation_effects
from descend.metrics.attention import attention_weights
from descend.metrics.embedding_neighbors import nearest_tokens
from descend.metrics.layer_predictions import layer_logits, next_token_losses, top_tokens
from descend.runs.saved_weights import load_saved_weights
from descend.training.process_settings import limit_threads_to_idle_cores

MAX_TOKENS = 48
"""Tokens of a passage that are looked at: what fits beside each other on a screen."""

NUM_PREDICTIONS = 3
NUM_NEIGHBORS = 12
CONTINUATION_TOKENS = 24
WEIGHT_UNITS = 1000
"""Attention weights are given in thousandths: an eye sees no finer."""


class Prediction(msgspec.Struct, frozen=True):
    """A token that might come next, and its probability."""

    text: str
    probability: float


class InspectedToken(msgspec.Struct, frozen=True):
    """A token of the passage. The first has no loss: nothing came before it."""

    id: int
    text: str
    probability: float | None
    """That the model gave to it, after the tokens before."""
    loss: float | None
    """Nats: minus the log of `probability`."""


class Inspection(msgspec.Struct, frozen=True):
    """A passage as the model reads it."""

    tokens: list[InspectedToken]
    is_cut: bool
    """Whether the text was longer than what is looked at."""
    mean_loss: float
    """Nats per token."""
    layers: list[list[list[Prediction]]]
    """(L + 1, T, 3): the likeliest next tokens after the embedding and after each block."""
    attention: list[list[list[list[int]]]]
    """(L, H, T, t + 1): what position t takes from each position up to itself, in thousandths."""
    continuation: str
    """How the model goes on, always with its likeliest token."""


class AblationEffect(msgspec.Struct, frozen=True):
    """The rise in loss (nats per token) without a head, or without a block (`head` null)."""

    layer: int
    head: int | None
    loss_increase: float


class Neighbor(msgspec.Struct, frozen=True):
    """A token with a similar embedding, and the cosine between the two."""

    text: str
    cosine: float


def load_at(folder: Path, weights_id: str) -> Model:
    """Return the model of the run in `folder` with the weights named `weights_id`."""
    loaded = load_saved_weights(folder, weights_id)
    return Model(folder, loaded.model, loaded.tokenizer)


def inspect_text(model: Model, text: str, ablation: Ablation | None = None) -> Inspection:
    """Return what `model` makes of `text`, with a part of it switched off if `ablation` names one.

    `UserError` for a text of fewer than two tokens, or a part that the model does not have.
    """
    ids, is_cut = _encode(model, text)
    network, tokenizer = model.network, model.tokenizer
    try:
        with limit_threads_to_idle_cores(), ablate(network, ablation):
            logits_LTV = layer_logits(network, ids)
            weights = attention_weights(network, ids)
            passage = tokenizer.decode(ids.tolist())
            (completion,) = model.complete([passage], CONTINUATION_TOKENS, greedy=True)
    except IndexError as problem:
        raise UserError(
            "ablation", str(problem), "a layer and a head of the model", "choose another part"
        ) from None
    losses = next_token_losses(logits_LTV[-1], ids).tolist()
    return Inspection(
        tokens=_tokens(tokenizer, ids, losses),
        is_cut=is_cut,
        mean_loss=sum(losses) / len(losses),
        layers=[[_predict(tokenizer, logits_V) for logits_V in layer] for layer in logits_LTV],
        attention=_rows(weights),
        continuation=completion.text,
    )


def measure_ablations(model: Model, text: str) -> list[AblationEffect]:
    """Return how much worse `model` predicts `text` without each of its blocks and heads."""
    ids, _ = _encode(model, text)
    with limit_threads_to_idle_cores():
        effects = ablation_effects(model.network, ids)
    return [AblationEffect(part.layer, part.head, rise) for part, rise in effects]


def find_neighbors(model: Model, token_id: int) -> list[Neighbor]:
    """Return the readable tokens that `model` takes for most similar to one.

    `UserError` for an unknown id.
    """
    try:
        nearest = nearest_tokens(model.network, token_id, model.network.shape.vocab_size - 1)
    except IndexError as problem:
        raise UserError("token", str(problem), "a token of the model", "choose another") from None
    named = ((model.tokenizer.decode([other]), cosine) for other, cosine in nearest)
    # Bytes that are no characters by themselves say nothing to a reader.
    readable = (Neighbor(text, cosine) for text, cosine in named if _is_readable(text))
    return list(itertools.islice(readable, NUM_NEIGHBORS))


def _is_readable(text: str) -> bool:
    return bool(text) and all(c.isprintable() or c in "\n\t" for c in text) and "\ufffd" not in text


def _encode(model: Model, text: str) -> tuple[NDArray[np.int64], bool]:
    ids = model.tokenizer.encode(text)
    if len(ids) < 2:
        raise UserError(
            "text", f"{len(ids)} token" + "s" * (len(ids) != 1), "at least two tokens",
            "write a few words",
        )  # fmt: skip
    length = min(MAX_TOKENS, model.trained_context)
    return np.array(ids[:length], dtype=np.int64), len(ids) > length


def _tokens(
    tokenizer: Tokenizer, ids: NDArray[np.int64], losses: list[float]
) -> list[InspectedToken]:
    first = InspectedToken(int(ids[0]), tokenizer.decode([int(ids[0])]), None, None)
    return [first] + [
        InspectedToken(token_id, tokenizer.decode([token_id]), math.exp(-loss), loss)
        for token_id, loss in zip(ids[1:].tolist(), losses, strict=True)
    ]


def _predict(tokenizer: Tokenizer, logits_V: torch.Tensor) -> list[Prediction]:
    return [
        Prediction(tokenizer.decode([token_id]), probability)
        for token_id, probability in top_tokens(logits_V, NUM_PREDICTIONS)
    ]


def _rows(weights_LHTT: NDArray[np.float32]) -> list[list[list[list[int]]]]:
    rounded = np.rint(weights_LHTT * WEIGHT_UNITS).astype(int)
    return [
        [[row[: position + 1].tolist() for position, row in enumerate(head)] for head in layer]
        for layer in rounded
    ]
