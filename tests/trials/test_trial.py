"""A trial is a run: same loss, same seed, same text, whichever process carries it out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from descend import run
from descend.config import RunConfig, make_config
from descend.errors import ConfigError
from descend.machine import Execution
from descend.runs.model_files import load_model
from descend.training.train_state import TrainState
from descend.training.training_run import initial_train_state
from descend.trials import trial
from descend.trials.cached_trial import run_trial
from descend.trials.prepared_trial import prepare_trial
from descend.trials.subsample import subsample_tokens
from descend.trials.trial import train_trial
from descend.trials.trial_evaluation import (
    evaluate_trial,
    evaluation_segments,
)
from descend.trials.trial_spec import TrialResult, make_trial_spec


def config_of(tiny: dict[str, object], **keys: Any) -> RunConfig:
    return make_config(tiny | keys)


def test_full_trial_reproduces_training_run_loss(tiny: dict[str, object]) -> None:
    model = run(tiny, log_level="error")
    last = model.summary.epochs[-1]
    result = run_trial(make_trial_spec(config_of(tiny)))
    assert result.steps == last.step
    assert result.parameters == model.summary.parameters
    assert result.validation_loss == pytest.approx(last.validation_loss, abs=1e-4)
    assert result.accuracy == pytest.approx(last.validation_accuracy, abs=2e-3)
    assert result.bits_per_byte == pytest.approx(last.bits_per_byte, abs=1e-4)
    # The tolerance is far below what a different run gives.
    other = run_trial(make_trial_spec(config_of(tiny, seed=43)))
    assert abs(other.validation_loss - last.validation_loss) > 1e-3


def test_trial_is_bitwise_deterministic_for_a_seed(tiny: dict[str, object]) -> None:
    spec = make_trial_spec(config_of(tiny), steps=8)
    first, second = train_trial(spec), train_trial(spec)
    assert first.validation_loss == second.validation_loss
    assert first.chunk_losses == second.chunk_losses
    assert (
        train_trial(make_trial_spec(config_of(tiny, seed=1), steps=8)).chunk_losses
        != first.chunk_losses
    )


def test_train_fraction_restricts_training_tokens(tiny: dict[str, object]) -> None:
    whole = make_trial_spec(config_of(tiny), steps=6)
    half = make_trial_spec(config_of(tiny), steps=6, train_fraction=0.5)
    ready = prepare_trial(half)
    assert len(ready.batches.tokens) == round(0.5 * len(ready.store.train))
    assert np.array_equal(ready.batches.tokens, subsample_tokens(ready.store.train, 0.5))
    few, many = run_trial(half), run_trial(whole)
    assert few.train_tokens == len(ready.batches.tokens) < many.train_tokens
    assert few.validation_loss != many.validation_loss
    # The same validation text judges both.
    assert len(few.chunk_losses) == len(many.chunk_losses)
    # Left to its epochs, half the text is half the steps.
    by_epoch = prepare_trial(make_trial_spec(config_of(tiny), train_fraction=0.5)).steps
    assert by_epoch == pytest.approx(
        prepare_trial(make_trial_spec(config_of(tiny))).steps / 2, abs=2
    )


def test_a_budget_sets_how_far_the_schedule_reaches(tiny: dict[str, object]) -> None:
    # wsd ends near zero: stopped half way it has not fallen yet.
    config = config_of(tiny, schedule="linear", warmup_steps=0)
    plan = trial._make_trial_plan(prepare_trial(make_trial_spec(config, steps=10)))
    assert plan.total_steps == 10
    assert plan.learning_rate(9) == pytest.approx(0.001 / 10)
    stopped = msgspec.structs.replace(
        make_trial_spec(config, steps=10, evaluate_every=2), stop_step=5
    )
    result = run_trial(stopped)
    assert result.steps == 5
    assert [p.step for p in result.curve] == [2, 4, 5]
    whole = run_trial(make_trial_spec(config, steps=10, evaluate_every=2))
    assert [p.step for p in whole.curve] == [2, 4, 6, 8, 10]
    # Up to there it is the same run.
    assert whole.curve[1].validation_loss == result.curve[1].validation_loss
    assert whole.curve[-1].seconds == pytest.approx(whole.seconds)
    assert run_trial(make_trial_spec(config, steps=5)).validation_loss != result.validation_loss


def test_trial_key_ignores_epochs_under_step_budget(tiny: dict[str, object]) -> None:
    assert (
        make_trial_spec(config_of(tiny, epoch=1), steps=9).key
        == make_trial_spec(config_of(tiny, epoch=3), steps=9).key
    )
    assert (
        make_trial_spec(config_of(tiny, epoch=1)).key
        != make_trial_spec(config_of(tiny, epoch=3)).key
    )


def test_trial_key_depends_on_resolved_device(
    tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds of one are not those of another."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    spec = make_trial_spec(config_of(tiny, device="auto"), steps=9)
    here = spec.key
    assert here == make_trial_spec(config_of(tiny, device="cpu"), steps=9).key
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert spec.key != here


def test_trial_respects_attention_kernel_but_not_compile_setting(
    tiny: dict[str, object],
) -> None:
    spec = make_trial_spec(config_of(tiny), steps=9)
    assert prepare_trial(spec).execution.attention == "fused"
    for attention in ("matmul", "fused"):
        requested_config = config_of(
            tiny, attention=attention, compile="on", threads=2, device="cpu"
        )
        ready = prepare_trial(make_trial_spec(requested_config))
        execution = ready.execution
        assert (execution.attention, execution.threads, execution.compiled) == (attention, 1, False)
    # Seconds of one kernel are not those of another; the rest no trial heeds.
    assert make_trial_spec(config_of(tiny, attention="matmul"), steps=9).key != spec.key
    assert make_trial_spec(config_of(tiny, compile="on", threads=2), steps=9).key == spec.key


def test_the_key_follows_content_and_not_names(tiny: dict[str, object], tmp_path: Path) -> None:
    spec = make_trial_spec(config_of(tiny), steps=9)
    assert make_trial_spec(config_of(tiny, save_dir=str(tmp_path)), steps=9).key == spec.key
    assert make_trial_spec(config_of(tiny, weight_decay=0.2), steps=9).key != spec.key
    text = tmp_path / "own.txt"
    text.write_text("one text " * 500)
    mine = make_trial_spec(config_of(tiny, corpus_dir=str(text)), steps=9)
    before = mine.key
    assert before != spec.key
    text.write_text("two texts " * 500)
    assert mine.key != before


def test_trial_inherits_weights_and_tokenizer_of_parent(
    tiny: dict[str, object], trained: Path
) -> None:
    config = config_of(tiny, learning_rate=1e-9)
    child = run_trial(make_trial_spec(config, steps=1, parent=trained))
    parent = load_model(trained, "cpu")
    ready = prepare_trial(make_trial_spec(config, steps=1, parent=trained))
    assert ready.store.tokenizer.fingerprint == parent.tokenizer.fingerprint
    parts = evaluation_segments(ready.store, ready.spec.evaluation_tokens)
    evaluation = evaluate_trial(
        parent.model.to(ready.execution.device), ready.execution, ready.store, parts, 16
    )
    # One step at no rate to speak of leaves the weights where the parent left them.
    assert child.validation_loss == pytest.approx(evaluation.loss, abs=1e-4)
    fresh = run_trial(make_trial_spec(config, steps=1))
    assert fresh.validation_loss > child.validation_loss + 0.1
    with pytest.raises(ConfigError, match="cannot be read"):
        run_trial(make_trial_spec(config, steps=1, parent="nowhere"))


def test_diverged_trial_has_a_finite_result(
    tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = initial_train_state

    def spoiled(ready: trial.PreparedTrial, execution: Execution) -> TrainState:
        state = healthy(ready, execution)
        with torch.no_grad():
            next(state.model.parameters())[:] = torch.inf
        return state

    spec = make_trial_spec(config_of(tiny), steps=4)
    assert train_trial(spec).diverged_step is None
    monkeypatch.setattr(trial, "initial_train_state", spoiled)
    result = train_trial(spec)
    assert result.diverged_step == 1
    assert result.steps == 0
    assert result.validation_loss == pytest.approx(math.log(result.vocab_size))
    assert result.curve == result.chunk_losses == []
    # As JSON it is whole: no number in it is infinite.
    assert msgspec.json.decode(msgspec.json.encode(result), type=TrialResult) == result


@pytest.mark.parametrize(
    ("budget", "where"),
    [({"steps": 0}, "steps"), ({"train_fraction": 0.0}, "train_fraction"),
     ({"train_fraction": 1.1}, "train_fraction"),
     ({"evaluate_every": 0}, "evaluate_every")],
)  # fmt: skip
def test_invalid_trial_budget_is_rejected(
    tiny: dict[str, object], budget: dict[str, Any], where: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        make_trial_spec(config_of(tiny), **budget)
    assert refused.value.location == where
