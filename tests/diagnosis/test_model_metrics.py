"""Metrics of the model: held against losses computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from descend.diagnosis.corpus_metrics import count_corpus
from descend.diagnosis.model_metrics import load_trained_model, measure_model
from descend.diagnosis.run_context import RunContext


def test_measure_model_reads_the_validation_loss(context: RunContext) -> None:
    assert context.store is not None
    model = load_trained_model(context)
    assert model is not None
    counts = count_corpus(context.store)
    values = {m.metric: m for m in measure_model(context, context.store, model, counts)}
    length = context.config.seq_len
    rows = (len(context.store.validation) - 1) // length
    flat = np.asarray(context.store.validation)[: rows * length + 1].astype(np.int64)
    inputs = torch.from_numpy(flat[:-1].reshape(rows, length))
    targets = torch.from_numpy(flat[1:].reshape(rows, length))
    with torch.no_grad():
        logits = model.eval()(inputs).float()
    loss = float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()))
    measured = values["measured_validation_loss"]
    assert measured.value == pytest.approx(loss, rel=0.01)
    assert measured.std_error > 0
    gap = measured.value - values["trained_text_loss"].value
    assert values["generalization_gap_nats"].value == pytest.approx(gap)


def test_load_trained_model_takes_the_checkpoint_of_an_unfinished_run(context: RunContext) -> None:
    unfinished = load_trained_model(context.with_parts(finished=False))
    finished = load_trained_model(context)
    assert finished is not None
    assert unfinished is None or unfinished.shape == finished.shape
    assert load_trained_model(context.with_parts(finished=False, checkpoint=None)) is None
