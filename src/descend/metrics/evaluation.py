"""How well a model predicts a text that it does not train on."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from descend.model.transformer import Transformer


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


@torch.no_grad()
def evaluate(
    model: Transformer,
    tokens: NDArray[np.unsignedinteger] | NDArray[np.int64],
    byte_lengths: NDArray[np.int64],
    seq_len: int,
    *,
    batch_size: int = 32,
    max_windows: int | None = None,
) -> Evaluation:
    """Judge `model` on `tokens` (N,), N >= 2, read in windows of `seq_len` side by side.

    Every token but the first is predicted exactly once, from those before it in its window.
    With more than `max_windows` windows, that many are taken, evenly spread. In evaluation
    mode; the mode of the model is left as it was found. Cost: one forward pass over the text.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    total_loss, hits, count, nbytes = 0.0, 0, 0, 0
    for inputs, targets in _windows(tokens, seq_len, batch_size, max_windows):
        x, y = torch.from_numpy(inputs).to(device), torch.from_numpy(targets).to(device)
        logits = model(x).float()
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none")
        total_loss += loss.double().sum().item()
        hits += int((logits.argmax(-1) == y).sum().item())
        count += y.numel()
        nbytes += int(byte_lengths[targets].sum())
    model.train(was_training)
    loss_mean = total_loss / count
    return Evaluation(
        loss=loss_mean,
        accuracy=hits / count,
        perplexity=math.exp(min(loss_mean, 700.0)),
        bits_per_byte=total_loss / math.log(2) / max(nbytes, 1),
        tokens=count,
        bytes=nbytes,
    )


def _windows(
    tokens: NDArray[np.unsignedinteger] | NDArray[np.int64],
    seq_len: int,
    batch_size: int,
    max_windows: int | None,
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    full, rest = divmod(len(tokens) - 1, seq_len)
    taken = np.arange(full)
    if max_windows is not None and full > max_windows:
        taken, rest = np.linspace(0, full - 1, max_windows).astype(np.int64), 0
    span = np.arange(seq_len + 1)
    batches = []
    for first in range(0, len(taken), batch_size):
        starts = taken[first : first + batch_size] * seq_len
        window = tokens[starts[:, None] + span].astype(np.int64)
        batches.append((window[:, :-1], window[:, 1:]))
    if rest:
        window = tokens[full * seq_len :].astype(np.int64)[None, :]
        batches.append((window[:, :-1], window[:, 1:]))
    return batches
