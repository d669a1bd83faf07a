"""What a worker's start takes is measured, and distinguished from its trials."""

from __future__ import annotations

import time
from typing import Any

import pytest
from rich.console import Console

from descend.cli.main import run as descend
from descend.config import make_config
from descend.report.text.trial_progress import show_trials
from descend.trials.adaptive import run_adaptive_trials
from descend.trials.timing.startup import (
    DEFAULT_STARTUP_SECONDS,
    record_worker_startup,
    worker_startup_seconds,
)
from descend.trials.trial_spec import EvalPoint, TrialResult, TrialSpec, make_trial_spec


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "cache"))


def two(tiny: dict[str, object]) -> list[TrialSpec]:
    return [
        make_trial_spec(make_config(tiny | {"learning_rate": rate}), steps=6)
        for rate in (0.01, 0.02)
    ]


def announce(specs: list[TrialSpec], workers: int) -> None:
    with show_trials(specs, workers, Console(stderr=True, width=400)):
        pass


def test_the_start_is_guessed_until_it_was_measured(tiny: dict[str, object]) -> None:
    assert worker_startup_seconds() == DEFAULT_STARTUP_SECONDS
    request_times: list[float] = []

    class Two:
        specs = two(tiny)

        def next_trial(self) -> TrialSpec | None:
            request_times.append(time.monotonic())
            return self.specs.pop() if self.specs else None

        def on_evaluation(self, key: str, point: EvalPoint) -> bool:
            return False

        def on_progress(self, key: str, share: float) -> None:
            pass

        def on_result(self, key: str, result: Any) -> None:
            assert isinstance(result, TrialResult)

    began = time.monotonic()
    run_adaptive_trials(Two(), 2)
    measured = worker_startup_seconds()
    assert measured != DEFAULT_STARTUP_SECONDS
    # Nothing was requested before the workers could train: no trial is charged with their start.
    assert request_times[0] - began >= measured - 0.01


def test_trial_announcement_includes_worker_startup(
    tiny: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    record_worker_startup(time.monotonic() - 7200)
    announce(two(tiny), 2)
    assert "about 2 h" in capsys.readouterr().err
    announce(two(tiny), 1)
    assert "about 2 h" not in capsys.readouterr().err


def test_a_search_counts_the_start_of_its_workers(
    tiny: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    record_worker_startup(time.monotonic() - 600)
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in tiny.items()
             if key not in ("corpus_dir", "epoch")]  # fmt: skip
    arguments = ["search", str(tiny["corpus_dir"]), *flags, "--minutes", "1"]
    assert descend([*arguments, "--workers", "2"]) == 2
    assert "at least 2" in capsys.readouterr().err  # twice ten minutes, and what is trained


def test_trial_announcement_includes_cpu_contention(
    tiny: dict[str, object], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("descend.machine.available_cores", lambda: 2)
    monkeypatch.setattr("descend.machine.count_active_cores", lambda: 2.0)
    announce(two(tiny), 2)
    assert "slowed by a factor of 2.0 by other programs" in capsys.readouterr().err
    monkeypatch.setattr("descend.machine.count_active_cores", lambda: 0.1)
    announce(two(tiny), 2)
    assert "beside other programs" not in capsys.readouterr().err
