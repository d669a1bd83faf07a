"""Whether a network can memorize at all: K sequences of random tokens, from fresh weights.

Nothing can be predicted in random tokens, so what is learned is memory alone. A network that
cannot keep one sequence has a fault; one that keeps few has little room. Cost class: run; up to
`MOST_STEPS` steps on K sequences, or what time is given.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import msgspec
import torch
from torch import Tensor
from torch.optim import Optimizer

from descend.model.transformer import Transformer

MEMORIZED_LOSS = 0.1
"""Nats per token from which a sequence counts as memorized (diagnosis notes, S10)."""
MAX_STEPS = 200
"""In which a sound network knows one batch (the same)."""


class MemorizationResult(msgspec.Struct, frozen=True):
    """What came of K sequences of T random tokens."""

    sequences: int
    steps: int | None
    """Updates until the mean loss was under `KNOWN`; None: it was not within those allowed."""
    num_updates: int
    """Made in all: fewer than allowed if known before, if the time was spent, or if the loss was no
    number any more."""
    loss: float
    """Nats per token after the last of them."""


def train_on_random_tokens(
    model: Transformer,
    optimizers: list[Optimizer],
    sequences: int,
    seq_len: int,
    *,
    loss: Callable[[Tensor, Tensor], Tensor],
    max_steps: int = MAX_STEPS,
    max_seconds: float = math.inf,
    seed: int = 0,
) -> MemorizationResult:
    """Train `model`, in its mode as it is, on the same `sequences` of `seq_len` random tokens at
    every step, until they are known or steps or time are spent; it is changed. `optimizers` hold
    their rates. `loss`: logits (B, T, V) and targets to nats per token.

    Source: Zhang et al. 2017, "Understanding deep learning requires rethinking generalization";
    as a first check of any network: Karpathy, "A recipe for training neural networks" (2019).
    """
    pick = torch.Generator().manual_seed(seed)
    vocab_size = model.shape.vocab_size
    ids = torch.randint(vocab_size, (sequences, seq_len + 1), generator=pick)
    ids = ids.to(next(model.parameters()).device)
    steps, now, updates = None, math.inf, 0
    ends = time.monotonic() + max_seconds
    for updates in range(max_steps + 1):
        loss_value = loss(model(ids[:, :-1]), ids[:, 1:])
        now = float(loss_value.detach())
        if now < MEMORIZED_LOSS:
            steps = updates
            break
        if updates == max_steps or not math.isfinite(now) or time.monotonic() >= ends:
            break
        loss_value.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    return MemorizationResult(sequences, steps, updates, now)
