"""Metrics of the text: counted on texts whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from descend.diagnosis.corpus_metrics import count_corpus, measure_corpus, validation_shift
from descend.diagnosis.run_context import RunContext


def test_count_corpus_counts_each_token_of_training(context: RunContext) -> None:
    assert context.store is not None
    counts = count_corpus(context.store)
    assert counts.uses.sum() == len(context.store.train)
    assert counts.uses[int(context.store.train[0])] >= 1
    assert counts.loss <= context.store.info.ngram_baselines.unigram


def test_measure_corpus_reads_sizes_and_baselines(context: RunContext) -> None:
    assert context.store is not None
    counts = count_corpus(context.store)
    values = {m.metric: m.value for m in measure_corpus(context.store, counts, 16)}
    assert values["train_tokens"] == len(context.store.train)
    assert values["validation_tokens"] == len(context.store.validation)
    assert values["best_ngram_loss"] == counts.loss
    assert values["rare_token_fraction"] == pytest.approx(
        float((counts.uses[counts.uses > 0] < 20).mean())
    )
    assert all(np.isfinite(value) for value in values.values())


def test_validation_shift_of_one_kind_of_text_is_small(context: RunContext) -> None:
    assert context.store is not None
    shift = validation_shift(context.store)
    assert shift is None or shift < 0.3
