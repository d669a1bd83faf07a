"""What a report needs beyond the records: the finished model and the text it was judged on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from descend.data.token_store import TokenStore
from descend.errors import DescendError, TextChangedError
from descend.metrics.loss_breakdown import TokenLosses, token_losses
from descend.model.transformer import Transformer
from descend.runs.model_files import load_model
from descend.runs.recorded_run import RecordedRun
from descend.runs.run_text import open_run_text

MAX_TOKENS = 2**15
"""Validation tokens that are looked at one by one: some seconds of a small model, and a standard
error of the mean loss near 0.02 nat."""


TOKENS_AT_ONCE = 2**12
"""Of one forward pass: keeps the logits of a vocabulary of 8,192 at 134 MB."""

_COUNTED_AT_ONCE = 2**22


def token_counts(store: TokenStore) -> NDArray[np.int64]:
    """Return how often each token stands in the training text, (V,), counted in fixed memory."""
    size = store.tokenizer.vocab_size
    counts = np.zeros(size, dtype=np.int64)
    for first in range(0, len(store.train), _COUNTED_AT_ONCE):
        counts += np.bincount(store.train[first : first + _COUNTED_AT_ONCE], minlength=size)
    return counts


@dataclass(frozen=True)
class ModelInspection:
    """The model in evaluation mode, its text, and its loss on every validation token looked at."""

    model: Transformer
    store: TokenStore
    seq_len: int
    """The context that it was trained with, or what the validation text has of it."""
    token_losses: TokenLosses

    @property
    def windows(self) -> int:
        """Windows looked at."""
        return len(self.token_losses.losses)


def open_text(run: RecordedRun) -> TokenStore | str:
    """Return the text of `run` as tokens, or why it cannot be shown."""
    try:
        return open_run_text(run.folder, run.metadata)
    except TextChangedError:
        return "the text changed since the run began, so its tokens cannot be shown"
    except DescendError as problem:
        return f"the text cannot be read again ({problem.location}: {problem.actual})"


def look(run: RecordedRun, store: TokenStore) -> ModelInspection | str:
    """Return the model of `run` on validation text, or why it cannot be looked at."""
    if not run.summary.finished:
        return "the run is not finished, so there is no model to inspect"
    try:
        model = load_model(Path(run.folder)).model
    except DescendError as problem:
        return f"the model cannot be loaded ({problem.location}: {problem.actual})"
    seq_len = min(run.config.seq_len, len(store.validation) - 1)
    windows = max(1, MAX_TOKENS // seq_len)
    losses = token_losses(
        model, store.validation, seq_len, windows=windows,
        batch_size=max(1, TOKENS_AT_ONCE // seq_len),
    )  # fmt: skip
    return ModelInspection(model, store, seq_len, losses)
