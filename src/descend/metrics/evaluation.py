"""How well a model predicts a text that it does not train on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from descend.model.cost import EVALUATION_WINDOWS
from descend.model.transformer import Transformer

Tokens = NDArray[np.unsignedinteger] | NDArray[np.int64]
Autocast = Callable[[], AbstractContextManager[object]]


class Evaluation(msgspec.Struct, frozen=True):
    """Means over the predicted tokens. `loss` in nats per token, unsmoothed."""

    loss: float
    accuracy: float
    perplexity: float
    """exp(loss): as uncertain as a fair choice among so many tokens."""
    bits_per_byte: float
    """Total loss in bits over the UTF-8 bytes predicted: comparable across tokenizers."""
    tokens: int
    bytes: int
    unigram_accuracy: float | None = None
    """What always guessing the most common of the predicted tokens would reach, where that was
    counted."""


class BatchScore(NamedTuple):
    """What a model predicted of one batch of windows."""

    losses: NDArray[np.float64]
    """(B * T,) nats, unsmoothed."""
    num_correct: int
    num_bytes: int
    """UTF-8 bytes of the predicted tokens."""


@dataclass(frozen=True)
class EvaluationPart:
    """Every `count`-th batch of windows from batch `index` on."""

    index: int
    count: int
    sum_totals: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    """Adds up an array over all parts."""
    is_in_step: bool = False
    """Whether all parts must make as many forward passes, since they share the weights."""


MAX_LOGITS = 2**24
"""Logits in memory at once: 64 MB, and as much again for their logarithms. 32 windows of 1,024
tokens with the vocabulary of GPT-2 have a hundred times as many."""

WHOLE_EVALUATION = EvaluationPart(0, 1, lambda totals: totals)


def evaluate(
    model: Transformer,
    tokens: Tokens,
    byte_lengths: NDArray[np.int64],
    seq_len: int,
    *,
    batch_size: int = EVALUATION_WINDOWS,
    max_windows: int | None = None,
    part: EvaluationPart = WHOLE_EVALUATION,
) -> Evaluation:
    """Judge `model` on `tokens` (N,), N >= 2, read in windows of `seq_len` side by side.

    Every token but the first is predicted exactly once, from those before it in its window.
    With more than `max_windows` windows, that many are taken, evenly spread. In evaluation
    mode; the mode of the model is left as it was found. Cost: one forward pass over the text.
    `part`: what this process does of it; the result is of the whole.
    """
    totals = np.zeros(4)
    windows = iter_windows(tokens, seq_len, batch_size, max_windows)
    own, num_own = _select_own(windows, part, len(byte_lengths))
    for number, score in enumerate(score_batches(model, own, byte_lengths)):
        if number < num_own:
            totals += (score.losses.sum(), score.num_correct, len(score.losses), score.num_bytes)
    total_loss, num_correct, count, num_bytes = part.sum_totals(totals).tolist()
    loss_mean = total_loss / count
    return Evaluation(
        loss=loss_mean,
        accuracy=num_correct / count,
        perplexity=math.exp(min(loss_mean, 700.0)),
        bits_per_byte=bits_per_byte(total_loss, num_bytes),
        tokens=int(count),
        bytes=int(num_bytes),
    )


def _select_own(
    windows: Iterator[NDArray[np.int64]], part: EvaluationPart, vocab_size: int
) -> tuple[Iterable[NDArray[np.int64]], float]:
    """Return the batches that `part` scores, and how many of the scores count.

    Parts in step score equally many: one that has fewer scores the last batch too.
    """
    if not part.is_in_step:
        return itertools.islice(windows, part.index, None, part.count), math.inf
    batches = list(_split_batches(windows, vocab_size))
    own = batches[part.index :: part.count]
    missing = -(-len(batches) // part.count) - len(own)
    return own + batches[-1:] * missing, len(own)


def bits_per_byte(total_nats: float, num_bytes: float) -> float:
    """Return the total loss in bits over the bytes predicted."""
    return total_nats / math.log(2) / max(num_bytes, 1)


@torch.no_grad()
def score_batches(
    model: Transformer,
    windows: Iterable[NDArray[np.int64]],
    byte_lengths: NDArray[np.int64],
    autocast: Autocast = nullcontext,
) -> Generator[BatchScore, None, None]:
    """Score `model` on batches (B, T + 1) of windows, whose first tokens are given.

    A batch of more than `MAX_LOGITS` logits gives several scores.

    The model is in evaluation mode until the last batch; then its mode is what it was.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    try:
        for window_BT in _split_batches(windows, len(byte_lengths)):
            batch = torch.from_numpy(window_BT).to(device)
            targets = batch[:, 1:].flatten()
            with autocast():
                logits = model(batch[:, :-1])
            logits = logits.float().flatten(0, 1)
            losses = F.cross_entropy(logits, targets, reduction="none")
            score = BatchScore(
                losses.double().cpu().numpy(),
                int((logits.argmax(-1) == targets).sum().item()),
                int(byte_lengths[window_BT[:, 1:]].sum()),
            )
            del logits, losses  # before the next batch needs the memory
            yield score
    finally:
        model.train(was_training)


def _split_batches(
    windows: Iterable[NDArray[np.int64]], vocab_size: int
) -> Iterator[NDArray[np.int64]]:
    """Split batches of windows so that each has at most `MAX_LOGITS` logits, or is one window."""
    for window_BT in windows:
        rows = max(1, MAX_LOGITS // (vocab_size * (window_BT.shape[1] - 1)))
        yield from (window_BT[first : first + rows] for first in range(0, len(window_BT), rows))


def iter_windows(
    tokens: Tokens, seq_len: int, batch_size: int, max_windows: int | None = None
) -> Iterator[NDArray[np.int64]]:
    """Cut `tokens` into batches (B, T + 1) of windows, which share their edges.

    The last one may be shorter; with more than `max_windows`, that many are evenly spread.
    """
    full, rest = divmod(len(tokens) - 1, seq_len)
    indices = np.arange(full)
    if max_windows is not None and full > max_windows:
        indices, rest = np.linspace(0, full - 1, max_windows).astype(np.int64), 0
    offsets = np.arange(seq_len + 1)
    for first in range(0, len(indices), batch_size):
        starts = indices[first : first + batch_size] * seq_len
        yield tokens[starts[:, None] + offsets].astype(np.int64)
    if rest:
        yield tokens[full * seq_len :].astype(np.int64)[None, :]
