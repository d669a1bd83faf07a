"""Processes that are kept from one series of trials to the next."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from descend.config import make_config
from descend.trials import worker_pool
from descend.trials.executor import run_trials
from descend.trials.trial_spec import TrialSpec, make_trial_spec


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[subprocess.Popen[bytes]]:
    """Every worker that is processes from now on, with an empty cache."""
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "cache"))
    workers: list[subprocess.Popen[bytes]] = []
    start = worker_pool.start_worker

    def start_and_record(*arguments: str) -> subprocess.Popen[bytes]:
        workers.append(start(*arguments))
        return workers[-1]

    monkeypatch.setattr(worker_pool, "start_worker", start_and_record)
    return workers


def make_specs(tiny: dict[str, Any], first_seed: int) -> list[TrialSpec]:
    return [
        make_trial_spec(make_config(tiny | {"seed": first_seed + n}), steps=3) for n in range(3)
    ]


def test_reused_workers_train_series_after_series(
    tiny: dict[str, Any], processes: list[subprocess.Popen[bytes]]
) -> None:
    with worker_pool.share_workers(2):
        assert len(processes) == 2  # they read torch in before they are needed
        results = [
            r for seed in (0, 10) for r in run_trials(make_specs(tiny, seed), workers=2, here=True)
        ]
        assert len(processes) == 2
        assert all(process.poll() is None for process in processes)
    assert all(process.poll() is not None for process in processes)
    assert len({r.validation_loss for r in results}) == 6


def test_error_in_reused_worker_is_raised_and_next_series_runs(
    tiny: dict[str, Any], processes: list[subprocess.Popen[bytes]]
) -> None:
    with worker_pool.share_workers(2):
        processes[0].kill()
        processes[1].kill()
        with pytest.raises(Exception, match="ended in the middle"):
            run_trials(make_specs(tiny, 0), workers=2, here=True)
        assert len(run_trials(make_specs(tiny, 0), workers=2, here=True)) == 3
        assert len(processes) == 4
