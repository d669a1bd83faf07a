"""The result of a trial is kept under its key, and a damaged one is as if it was not there."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from descend.config import make_config
from descend.data.cache_dir import cache_dir
from descend.trials import trial
from descend.trials.cached_trial import load_cached_result, run_trial
from descend.trials.executor import run_trials
from descend.trials.trial_spec import TrialResult, TrialSpec, make_trial_spec


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "cache"))


def cache_file(spec: TrialSpec) -> Path:
    return cache_dir() / "trials" / f"{spec.key}.json"


def test_cached_trial_is_not_retrained(
    tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_trial_spec(make_config(tiny | {"learning_rate": 0.0021}), steps=5)
    result = run_trial(spec)
    assert result.steps == 5

    def refuse(*_: object) -> TrialResult:
        raise AssertionError("trained again")

    monkeypatch.setattr(trial, "train_trial", refuse)
    assert run_trials([spec, spec], workers=1) == [result, result]
    cache_file(spec).unlink()
    with pytest.raises(AssertionError, match="trained again"):
        run_trials([spec], workers=1)


def test_damaged_cache_file_is_retrained(tiny: dict[str, object]) -> None:
    spec = make_trial_spec(make_config(tiny | {"learning_rate": 0.0022}), steps=5)
    result = run_trial(spec)
    cache_file(spec).write_text('{"key": 3')
    assert load_cached_result(spec.key) is None
    assert run_trial(spec).chunk_losses == result.chunk_losses


def test_trial_result_survives_json_round_trip(tiny: dict[str, object]) -> None:
    result = run_trial(make_trial_spec(make_config(tiny), steps=3))
    assert msgspec.json.decode(msgspec.json.encode(result), type=TrialResult) == result
    assert math.isfinite(result.seconds)


def test_run_trial_caches_a_stopped_trial_under_the_key_of_its_length(
    tiny: dict[str, object],
) -> None:
    spec = make_trial_spec(make_config(tiny), steps=8, evaluate_every=2)
    result = run_trial(spec, on_evaluation=lambda point: point.step >= 4)
    assert result.steps == 4
    assert load_cached_result(spec.key) is None
    assert load_cached_result(msgspec.structs.replace(spec, stop_step=4).key) == result
