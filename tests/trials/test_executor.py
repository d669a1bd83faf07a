"""Several trials: equal ones once, in any number of processes, and what is finished is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from descend.config import make_config
from descend.errors import CorpusError
from descend.machine import available_cores
from descend.trials.cached_trial import load_cached_result, run_trial
from descend.trials.executor import TrialProgress, run_trials, worker_count
from descend.trials.ray_executor import RAY_ADDRESS_VARIABLE
from descend.trials.trial import train_trial
from descend.trials.trial_spec import make_trial_spec


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "cache"))


def test_identical_trials_run_once_and_preserve_order(tiny: dict[str, object]) -> None:
    specs = [
        make_trial_spec(make_config(tiny | {"learning_rate": rate}), steps=4)
        for rate in (0.003, 0.004)
    ]
    progress_counts: list[tuple[int, int]] = []
    results = run_trials(
        [specs[1], specs[0], specs[1]],
        workers=1,
        on_progress=lambda news: progress_counts.append((news.done, news.total)),
    )
    assert [o.key for o in results] == [specs[1].key, specs[0].key, specs[1].key]
    assert progress_counts == [(1, 2), (2, 2)]


def test_worker_processes_return_identical_results_and_errors(tiny: dict[str, object]) -> None:
    specs = [make_trial_spec(make_config(tiny | {"seed": seed}), steps=6) for seed in (5, 6)]
    expected = [train_trial(spec) for spec in specs]
    results = run_trials(specs, workers=2)
    assert [o.chunk_losses for o in results] == [o.chunk_losses for o in expected]
    assert load_cached_result(specs[0].key) == results[0]

    too_little = [
        make_trial_spec(make_config(tiny | {"seed": s}), steps=2, train_fraction=0.001)
        for s in (5, 6)
    ]
    with pytest.raises(CorpusError, match="tokens of training text"):
        run_trials(too_little, workers=2)


def test_run_trials_keeps_what_finished_before_an_error(tiny: dict[str, object]) -> None:
    good = make_trial_spec(make_config(tiny), steps=2)
    too_little = make_trial_spec(make_config(tiny), steps=2, train_fraction=0.001)
    with pytest.raises(CorpusError, match="tokens of training text"):
        run_trials([good, too_little], workers=1)
    assert load_cached_result(good.key) is not None
    assert load_cached_result(too_little.key) is None


def test_run_trials_reports_cached_trials_first(tiny: dict[str, object]) -> None:
    first, second = (make_trial_spec(make_config(tiny | {"seed": s}), steps=2) for s in (1, 2))
    cached = run_trial(second)
    reports: list[TrialProgress] = []
    run_trials([first, second], workers=1, on_progress=reports.append)
    assert reports[0] == TrialProgress(1, 2, second.key, 1.0, cached)
    assert (reports[-1].done, reports[-1].key) == (2, first.key)


def test_worker_count_is_bounded_by_trials_cores_and_the_request(
    tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(RAY_ADDRESS_VARIABLE, raising=False)
    spec = make_trial_spec(make_config(tiny | {"device": "cpu"}), steps=2)
    assert worker_count([spec] * 3, 2) == 2
    assert worker_count([spec], 8) == 1
    assert worker_count([], 8) == 1
    assert worker_count([spec] * 1000) == available_cores()
