"""A remembered speed is trusted while it can be, and no longer."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from descend.config import make_config
from descend.machine import SOON
from descend.trials import speed
from descend.trials.arms import arm_of
from descend.trials.speed import ALIKE, OLD, Speed, speed_of
from descend.trials.trial import Ready, prepare


@pytest.fixture
def ready(tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ready:
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "own"))
    others_take(monkeypatch, 0.0)
    return prepare(arm_of(make_config(tiny)))


def others_take(monkeypatch: pytest.MonkeyPatch, cores: float) -> None:
    monkeypatch.setattr(speed, "busy_cores", lambda: cores)
    monkeypatch.setattr(speed, "cores", lambda: 2)


WRONG = Speed(1.0, 1.0)


def remember(ready: Ready, found: Speed, age: float = 0.0, busy: bool = False) -> None:
    content = {"speed": found, "at": time.time() - age, "busy": busy}
    speed._file(ready).parent.mkdir(parents=True, exist_ok=True)
    speed._file(ready).write_bytes(msgspec.json.encode(content))


def test_a_quiet_timing_is_remembered(ready: Ready) -> None:
    first = speed_of(ready)
    assert 0 < first.per_token < 0.01
    assert speed_of(ready) == first
    remember(ready, WRONG)
    assert speed_of(ready) == WRONG


def test_one_from_a_busy_machine_is_taken_again_when_it_is_quiet(
    ready: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    others_take(monkeypatch, 1.0)  # one of two cores: ours is free
    speed_of(ready)
    remember(ready, WRONG, busy=True)
    assert speed_of(ready) == WRONG  # all runs of one series have the same
    remember(ready, WRONG, age=SOON + 1, busy=True)
    others_take(monkeypatch, 1.8)
    assert speed_of(ready) == WRONG  # a new one would be no better
    others_take(monkeypatch, 0.0)
    found = speed_of(ready)
    assert found.per_token < 0.01
    assert speed_of(ready) == found


def test_an_old_one_is_taken_again(ready: Ready) -> None:
    remember(ready, WRONG, age=OLD - 100)
    assert speed_of(ready) == WRONG
    remember(ready, WRONG, age=OLD + 100)
    assert speed_of(ready) != WRONG


def test_a_new_timing_that_says_the_same_changes_nothing(
    ready: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = Speed(1e-3, 0.0)
    monkeypatch.setattr(
        "descend.training.engine.time_step", lambda *_, **__: (true.per_token, true.per_update)
    )
    near = Speed(true.per_token * (1 - ALIKE / 2), 0.0)
    remember(ready, near, age=OLD + 100)
    assert speed_of(ready) == near
    far = Speed(true.per_token * (1 - ALIKE * 2), 0.0)
    remember(ready, far, age=OLD + 100)
    assert speed_of(ready) == true
