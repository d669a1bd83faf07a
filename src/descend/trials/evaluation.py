"""How a trial is judged: on the same held-out bytes, whatever its tokenizer and context.

Text longer than asked for is sampled as `STRETCHES` stretches of equal length in bytes, evenly
spread; each is read in windows of `seq_len` side by side, as `signals.evaluate` reads all of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from descend.data.token_store import TokenStore
from descend.machine import Execution
from descend.model.transformer import Transformer
from descend.training.execution.precision import autocast_precision

NUM_SEGMENTS = 8
"""Few, so that a long context is rarely cut short; several, so that one chapter decides little."""

BYTES_PER_TOKEN = 4
"""What a token counts for, so that the bytes judged do not depend on the tokenizer: about what a
token of a vocabulary of 4096 stands for in English text."""

NUM_CHUNKS = 64
"""Parts whose mean losses are kept, for resampling over text."""

_BATCH_TOKENS = 4096

Tokens = NDArray[np.unsignedinteger]


class TrialEvaluation(msgspec.Struct, frozen=True):
    """Means over the predicted tokens; loss in nats, and the mean loss of each of the pieces."""

    loss: float
    accuracy: float
    bits_per_byte: float
    chunk_losses: list[float]


def evaluation_segments(store: TokenStore, evaluation_tokens: int) -> list[Tokens]:
    """What to judge on: the whole held-out text, or `STRETCHES` parts of it.

    In each, every token but the first is predicted.
    """
    max_bytes = evaluation_tokens * BYTES_PER_TOKEN
    byte_at = np.cumsum(store.tokenizer.byte_lengths[store.validation])
    total = int(byte_at[-1])
    if total <= max_bytes:
        return [store.validation]
    length = max_bytes // NUM_SEGMENTS
    starts = np.linspace(0, total - length, NUM_SEGMENTS)
    first = np.searchsorted(byte_at, starts)
    last = np.searchsorted(byte_at, starts + length)
    return [store.validation[a : b + 1] for a, b in zip(first, last, strict=True) if b > a]


@torch.no_grad()
def evaluate_trial(
    model: Transformer,
    execution: Execution,
    store: TokenStore,
    parts: list[Tokens],
    seq_len: int,
) -> TrialEvaluation:
    """Judge `model` on `parts`; its mode is left as it was found."""
    was_training = model.training
    model.eval()
    losses, hits, nbytes = [], 0, 0
    for window_BT in (w for part in parts for w in _windows(part, seq_len)):
        batch = torch.from_numpy(window_BT).to(execution.device)
        targets = batch[:, 1:].flatten()
        with autocast_precision(execution):
            logits = model(batch[:, :-1])
        logits = logits.float().flatten(0, 1)
        losses.append(F.cross_entropy(logits, targets, reduction="none").double().cpu().numpy())
        hits += int((logits.argmax(-1) == targets).sum().item())
        nbytes += int(store.tokenizer.byte_lengths[window_BT[:, 1:]].sum())
    model.train(was_training)
    all_losses = np.concatenate(losses)
    return TrialEvaluation(
        loss=float(all_losses.mean()),
        accuracy=hits / len(all_losses),
        bits_per_byte=float(all_losses.sum()) / math.log(2) / max(nbytes, 1),
        chunk_losses=[float(p.mean()) for p in np.array_split(all_losses, NUM_CHUNKS) if len(p)],
    )


def _windows(part: Tokens, seq_len: int) -> Iterator[NDArray[np.int64]]:
    """(B, T + 1) windows over `part`, which share their edges; the last one may be shorter."""
    full, rest = divmod(len(part) - 1, seq_len)
    span = np.arange(seq_len + 1)
    at_once = max(1, _BATCH_TOKENS // seq_len)
    for begin in range(0, full, at_once):
        starts = np.arange(begin, min(begin + at_once, full)) * seq_len
        yield part[starts[:, None] + span].astype(np.int64)
    if rest:
        yield part[full * seq_len :].astype(np.int64)[None, :]
