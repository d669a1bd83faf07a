"""What the run will read, and at which rates.

Whether batches repeat or follow the text cannot be seen in their tokens: a text may be one letter
over and over. So the plan of the run is requested the batches of a text whose tokens are their own
places.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from descend.data.batches import BatchSampler
from descend.model.transformer import Transformer
from descend.training.train_plan import TrainPlan

from .failure import failure

MAX_TOKENS = 2**20
"""Of a longer text so much: the order of any length is drawn in the same way."""

ENOUGH = 16
"""Sequences that are looked at, at least, unless a pass has fewer."""

MIN_ORDERED_SEQUENCES = 12
"""Sequences that stand in order by chance once in 479 million times."""

RATES = 32
"""Places in the run where the rate is looked at."""

LONG = 10
"""Steps after warmup from which a falling rate ends below half of its peak, whatever the shape."""


def check_tokens(batch: NDArray[np.int64], vocab_size: int, model: Transformer) -> None:
    """A row of the network for each token of the tokenizer, and no other token in `batch`."""
    rows = (model.token_embedding.num_embeddings, model.head.out_features)
    if rows != (vocab_size, vocab_size):
        raise failure("the tokenizer", f"{vocab_size} tokens",
                    f"those that the network has rows for, {rows[0]} and {rows[1]}")  # fmt: skip
    if batch.min() < 0 or batch.max() >= vocab_size:
        raise failure("the first batch", f"tokens from {batch.min()} to {batch.max()}",
                    f"tokens from 0 to {vocab_size - 1}")  # fmt: skip


def check_batch_order(batches: BatchSampler) -> None:
    """Segments of the text, none of them twice in a pass, and not in their order."""
    max_tokens = max(MAX_TOKENS, batches.seq_len + 1)
    plan = replace(batches, tokens=np.arange(min(len(batches.tokens), max_tokens), dtype=np.uint32))
    count = max(2, -(-ENOUGH // plan.batch_size))
    read = np.concatenate([plan.batch(number) for number in range(count)])
    if (np.diff(read, axis=1) != 1).any():
        raise failure("batches", "sequences that jump in the text", "stretches of it")
    starts = read[: plan.sequences_per_epoch, 0]
    if len(np.unique(starts)) < len(starts):
        raise failure("batches", "a sequence that comes again within a pass", "each of them once")
    if len(starts) >= MIN_ORDERED_SEQUENCES and (np.diff(starts) > 0).all():
        raise failure("batches", "the text from front to back", "its sequences in a random order")


def check_lr_schedule(plan: TrainPlan) -> None:
    """The rate rises to the peak that was requested, and falls with the end of the run."""
    config, steps, warmup = plan.config, plan.total_steps, plan.config.warmup_steps or 0
    peak = config.peak_learning_rate
    steps_to_check = np.linspace(0, steps - 1, min(RATES, steps)).astype(np.int64)
    rates = [plan.learning_rate(int(step)) for step in steps_to_check]
    wrong = [rate for rate in rates if not 0 <= rate <= peak * (1 + 1e-6)]
    if wrong or not max(rates) > 0:
        raise failure(
            "the schedule", f"a rate of {(wrong or rates)[0]:g}", f"above 0, up to {peak:g}"
        )
    if isinstance(config.learning_rate, dict) or warmup >= steps:
        return
    if not math.isclose(plan.learning_rate(warmup), peak, rel_tol=1e-6):
        raise failure(
            "the schedule",
            f"a rate of {plan.learning_rate(warmup):g} after warmup",
            f"the peak of {peak:g}",
        )
    if config.schedule != "constant" and steps - warmup >= LONG and rates[-1] > peak / 2:
        raise failure("the schedule", f"a rate of {rates[-1]:g} in the last step",
                    f"one that has fallen from {peak:g}")  # fmt: skip
