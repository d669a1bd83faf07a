"""A remembered speed is trusted while it can be, and no longer."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from descend.config import make_config
from descend.machine import RETUNE_AFTER_SECONDS
from descend.runs.cached_record import write_cached
from descend.trials.prepared_trial import PreparedTrial, prepare_trial
from descend.trials.timing import step_timing
from descend.trials.timing.step_timing import (
    TIMING_TOLERANCE,
    TIMING_TTL_SECONDS,
    StepTime,
    get_step_time,
)
from descend.trials.trial_spec import make_trial_spec


@pytest.fixture
def ready(
    tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> PreparedTrial:
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "own"))
    others_take(monkeypatch, 0.0)
    return prepare_trial(make_trial_spec(make_config(tiny)))


def others_take(monkeypatch: pytest.MonkeyPatch, cores: float) -> None:
    monkeypatch.setattr(step_timing, "count_active_cores", lambda: cores)
    monkeypatch.setattr(step_timing, "available_cores", lambda: 2)


WRONG = StepTime(1.0, 1.0)


def remember(
    ready: PreparedTrial, step_time: StepTime, age: float = 0.0, is_contended: bool = False
) -> None:
    content = {"step_time": step_time, "at": time.time() - age, "is_contended": is_contended}
    write_cached(step_timing._file(ready), content)


def test_a_quiet_timing_is_remembered(ready: PreparedTrial) -> None:
    first = get_step_time(ready)
    assert 0 < first.per_token < 0.01
    assert get_step_time(ready) == first
    remember(ready, WRONG)
    assert get_step_time(ready) == WRONG


def test_contended_step_time_is_measured_again_when_idle(
    ready: PreparedTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    others_take(monkeypatch, 1.0)  # one of two cores: ours is free
    get_step_time(ready)
    remember(ready, WRONG, is_contended=True)
    assert get_step_time(ready) == WRONG  # all runs of one series have the same
    remember(ready, WRONG, age=RETUNE_AFTER_SECONDS + 1, is_contended=True)
    others_take(monkeypatch, 1.8)
    assert get_step_time(ready) == WRONG  # a new one would be no better
    others_take(monkeypatch, 0.0)
    step_time = get_step_time(ready)
    assert step_time.per_token < 0.01
    assert get_step_time(ready) == step_time


def test_an_old_one_is_taken_again(ready: PreparedTrial) -> None:
    remember(ready, WRONG, age=TIMING_TTL_SECONDS - 100)
    assert get_step_time(ready) == WRONG
    remember(ready, WRONG, age=TIMING_TTL_SECONDS + 100)
    assert get_step_time(ready) != WRONG


def test_similar_step_time_measurement_does_not_replace_cached(
    ready: PreparedTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = StepTime(1e-3, 0.0)
    monkeypatch.setattr(
        "descend.training.execution.candidate_timing.time_training_step",
        lambda *_, **__: (true.per_token, true.per_update),
    )
    near = StepTime(true.per_token * (1 - TIMING_TOLERANCE / 2), 0.0)
    remember(ready, near, age=TIMING_TTL_SECONDS + 100)
    assert get_step_time(ready) == near
    far = StepTime(true.per_token * (1 - TIMING_TOLERANCE * 2), 0.0)
    remember(ready, far, age=TIMING_TTL_SECONDS + 100)
    assert get_step_time(ready) == true
