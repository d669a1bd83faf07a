"""All trials are evaluated on the same text, whatever their tokenizer and context."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from descend.config import make_config
from descend.metrics.evaluation import evaluate, iter_windows, score_batches
from descend.training.training_run import initial_train_state
from descend.trials.prepared_trial import prepare_trial
from descend.trials.trial_evaluation import (
    BYTES_PER_TOKEN,
    NUM_CHUNKS,
    NUM_SEGMENTS,
    evaluate_trial,
    evaluation_segments,
)
from descend.trials.trial_spec import make_trial_spec


def test_evaluation_uses_the_same_bytes_for_every_tokenizer(tiny: dict[str, object]) -> None:
    evaluation_bytes = {}
    for name in ("byte", "bpe"):
        ready = prepare_trial(
            make_trial_spec(
                make_config(
                    tiny | {"tokenizer": name, "vocab_size": None if name == "byte" else 300}
                )
            )
        )
        parts = evaluation_segments(ready.store, 100)
        assert len(parts) == NUM_SEGMENTS
        lengths = ready.store.tokenizer.byte_lengths
        evaluation_bytes[name] = sum(int(lengths[part[1:]].sum()) for part in parts)
        whole = evaluation_segments(ready.store, 10**6)
        assert len(whole) == 1
        assert len(whole[0]) == len(ready.store.validation)
    # To within a token at either end of each segment.
    assert evaluation_bytes["byte"] == pytest.approx(100 * BYTES_PER_TOKEN, abs=NUM_SEGMENTS)
    assert abs(evaluation_bytes["byte"] - evaluation_bytes["bpe"]) < 2 * 10 * NUM_SEGMENTS


def test_evaluation_uses_the_same_tokens_for_every_context(tiny: dict[str, object]) -> None:
    ready = prepare_trial(make_trial_spec(make_config(tiny)))
    state = initial_train_state(ready, ready.execution)
    parts = evaluation_segments(ready.store, 200)
    evaluations = {
        n: evaluate_trial(state.model, ready.execution, ready.store, parts, n) for n in (4, 7, 32)
    }
    assert len({len(j.chunk_losses) for j in evaluations.values()}) == 1
    # Fresh weights hardly use the context, so the same tokens give nearly the same losses.
    assert evaluations[4].loss == pytest.approx(evaluations[32].loss, abs=0.05)
    mean = np.mean(evaluations[7].chunk_losses)
    assert evaluations[7].loss == pytest.approx(mean, abs=0.02)


def test_trial_and_training_evaluate_the_same_text_alike(tiny: dict[str, object]) -> None:
    ready = prepare_trial(make_trial_spec(make_config(tiny)))
    model, validation = initial_train_state(ready, ready.execution).model, ready.store.validation
    by_trial = evaluate_trial(model, ready.execution, ready.store, [validation], 16)
    by_training = evaluate(model, validation, ready.store.tokenizer.byte_lengths, 16)
    assert by_trial.loss == pytest.approx(by_training.loss, rel=1e-5)
    assert by_trial.bits_per_byte == pytest.approx(by_training.bits_per_byte, rel=1e-5)
    assert by_trial.accuracy == pytest.approx(by_training.accuracy)


@pytest.mark.parametrize("was_training", [True, False])
def test_scoring_restores_the_mode_of_the_model_when_it_ends_early(
    tiny: dict[str, object], was_training: bool
) -> None:
    ready = prepare_trial(make_trial_spec(make_config(tiny)))
    model = initial_train_state(ready, ready.execution).model.train(was_training)
    windows = iter_windows(ready.store.validation, 16, 1)
    scores = score_batches(model, windows, ready.store.tokenizer.byte_lengths)
    assert len(next(scores).losses) == 16
    assert not model.training
    scores.close()
    assert model.training == was_training


def test_evaluation_segments_reach_from_the_beginning_to_the_end(tiny: dict[str, object]) -> None:
    store = prepare_trial(make_trial_spec(make_config(tiny | {"tokenizer": "byte"}))).store
    segments = evaluation_segments(store, 100)
    whole = store.validation
    starts = [(part.ctypes.data - whole.ctypes.data) // whole.itemsize for part in segments]
    assert starts[0] == 0
    assert len(whole) - 1 <= starts[-1] + len(segments[-1]) <= len(whole)  # whole bytes
    assert max(np.diff(starts)) - min(np.diff(starts)) <= 1  # a byte a token


def test_evaluate_trial_gives_the_loss_of_guessing_when_all_weights_are_zero(
    tiny: dict[str, object],
) -> None:
    ready = prepare_trial(make_trial_spec(make_config(tiny)))
    model, store = initial_train_state(ready, ready.execution).model, ready.store
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    evaluation = evaluate_trial(model, ready.execution, store, [store.validation], 16)
    guess, targets = math.log(store.tokenizer.vocab_size), store.validation[1:]
    num_bytes = store.tokenizer.byte_lengths[targets].sum()
    assert evaluation.loss == pytest.approx(guess, rel=1e-5)
    assert evaluation.chunk_losses == pytest.approx([guess] * NUM_CHUNKS, rel=1e-5)
    assert evaluation.bits_per_byte == pytest.approx(
        len(targets) * guess / math.log(2) / num_bytes, rel=1e-5
    )
    assert evaluation.accuracy == pytest.approx(np.mean(targets == 0))
