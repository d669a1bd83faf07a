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
from descend.data.cache_dir import cache_dir
from descend.errors import ConfigError, CorpusError
from descend.machine import Execution
from descend.metrics.evaluation import evaluate, iter_windows, score_batches
from descend.model.cost import forward_flops_per_token, training_flops_per_token
from descend.runs.model_files import load_model
from descend.training.train_state import TrainState
from descend.training.training_run import initial_train_state
from descend.trials import trial
from descend.trials.cached_trial import load_cached_result, run_trial
from descend.trials.cost_estimate import estimate_trial_seconds, evaluation_seconds
from descend.trials.executor import run_trials
from descend.trials.prepared_trial import prepare_trial
from descend.trials.subsample import subsample_tokens
from descend.trials.timing.step_timing import StepTime
from descend.trials.trial import train_trial
from descend.trials.trial_evaluation import (
    BYTES_PER_TOKEN,
    NUM_SEGMENTS,
    evaluate_trial,
    evaluation_segments,
)
from descend.trials.trial_spec import TrialResult, TrialSpec, make_trial_spec


def config_of(tiny: dict[str, object], **keys: Any) -> RunConfig:
    return make_config(tiny | keys)


def forget(*specs: TrialSpec) -> None:
    for spec in specs:
        (cache_dir() / "trials" / f"{spec.key}.json").unlink(missing_ok=True)


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


def test_cached_trial_is_not_retrained(
    tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_trial_spec(config_of(tiny, learning_rate=0.0021), steps=5)
    result = run_trial(spec)
    assert result.steps == 5

    def refuse(*_: object) -> TrialResult:
        raise AssertionError("trained again")

    monkeypatch.setattr(trial, "train_trial", refuse)
    assert run_trials([spec, spec], workers=1) == [result, result]
    forget(spec)
    with pytest.raises(AssertionError, match="trained again"):
        run_trials([spec], workers=1)


def test_damaged_cache_file_is_retrained(tiny: dict[str, object]) -> None:
    spec = make_trial_spec(config_of(tiny, learning_rate=0.0022), steps=5)
    result = run_trial(spec)
    (cache_dir() / "trials" / f"{spec.key}.json").write_text('{"key": 3')
    assert load_cached_result(spec.key) is None
    assert run_trial(spec).chunk_losses == result.chunk_losses


def test_identical_trials_run_once_and_preserve_order(tiny: dict[str, object]) -> None:
    specs = [
        make_trial_spec(config_of(tiny, learning_rate=rate), steps=4) for rate in (0.003, 0.004)
    ]
    forget(*specs)
    progress_counts: list[tuple[int, int]] = []
    results = run_trials(
        [specs[1], specs[0], specs[1]],
        workers=1,
        on_progress=lambda news: progress_counts.append((news.done, news.total)),
    )
    assert [o.key for o in results] == [specs[1].key, specs[0].key, specs[1].key]
    assert progress_counts == [(1, 2), (2, 2)]


def test_worker_processes_return_identical_results_and_errors(tiny: dict[str, object]) -> None:
    specs = [make_trial_spec(config_of(tiny, seed=seed), steps=6) for seed in (5, 6)]
    expected = [train_trial(spec) for spec in specs]
    forget(*specs)
    results = run_trials(specs, workers=2)
    assert [o.chunk_losses for o in results] == [o.chunk_losses for o in expected]
    assert load_cached_result(specs[0].key) == results[0]

    too_little = [
        make_trial_spec(config_of(tiny, seed=s), steps=2, train_fraction=0.001) for s in (5, 6)
    ]
    with pytest.raises(CorpusError, match="tokens of training text"):
        run_trials(too_little, workers=2)


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


def test_evaluation_uses_the_same_bytes_for_every_tokenizer(tiny: dict[str, object]) -> None:
    evaluation_bytes = {}
    for name in ("byte", "bpe"):
        ready = prepare_trial(
            make_trial_spec(
                config_of(tiny, tokenizer=name, vocab_size=None if name == "byte" else 300)
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
    ready = prepare_trial(make_trial_spec(config_of(tiny)))
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


def test_cost_estimate_excludes_cached_trials(tiny: dict[str, object]) -> None:
    small = make_trial_spec(config_of(tiny, seed=77), steps=10)
    large = make_trial_spec(config_of(tiny, seed=77), steps=1000)
    costs = estimate_trial_seconds([small, large])
    assert 0 < costs[small.key] < costs[large.key]
    run_trial(small)
    assert estimate_trial_seconds([small, large]).keys() == {large.key}


@pytest.mark.parametrize("tokenizer", ["bpe", "byte"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_evaluation_cost_scales_with_evaluated_tokens(
    tiny: dict[str, object], tokenizer: str, checkpointing: bool
) -> None:
    config = config_of(tiny, tokenizer=tokenizer, activation_checkpointing=checkpointing)
    config = config.model_copy(update={"validation_fraction": 0.5})
    ready = prepare_trial(make_trial_spec(config, evaluation_tokens=400))
    tokens = sum(len(part) - 1 for part in evaluation_segments(ready.store, 400))
    assert tokens < len(ready.store.validation) / 2, "else all of it is judged anyway"
    forward = forward_flops_per_token(ready.shape, config.seq_len)
    step = training_flops_per_token(ready.shape, config.seq_len, checkpointing)
    assert (step > 3 * forward) is checkpointing
    seconds = evaluation_seconds(ready, StepTime(per_token=1.0, per_update=0.0))
    assert seconds == pytest.approx(tokens * forward / step, rel=0.1)


def test_trial_result_survives_json_round_trip(tiny: dict[str, object]) -> None:
    result = run_trial(make_trial_spec(config_of(tiny), steps=3))
    assert msgspec.json.decode(msgspec.json.encode(result), type=TrialResult) == result
    assert math.isfinite(result.seconds)


def test_trial_and_training_evaluate_the_same_text_alike(tiny: dict[str, object]) -> None:
    ready = prepare_trial(make_trial_spec(config_of(tiny)))
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
    ready = prepare_trial(make_trial_spec(config_of(tiny)))
    model = initial_train_state(ready, ready.execution).model.train(was_training)
    windows = iter_windows(ready.store.validation, 16, 1)
    scores = score_batches(model, windows, ready.store.tokenizer.byte_lengths)
    assert len(next(scores).losses) == 16
    assert not model.training
    scores.close()
    assert model.training == was_training
