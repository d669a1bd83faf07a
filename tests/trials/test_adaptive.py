"""Trials that are chosen as there is room, and pruned where they are unpromising."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from descend.config import make_config
from descend.errors import ConfigError, DescendError
from descend.trials import trial
from descend.trials.adaptive import run_adaptive_trials
from descend.trials.cached_trial import load_cached_result, run_trial
from descend.trials.trial_spec import EvalPoint, TrialResult, TrialSpec, make_trial_spec


class EndAt:
    """Asks for specs in order, and ends each after so many judgments."""

    def __init__(self, specs: list[TrialSpec], points: int) -> None:
        self.specs, self.points = specs, points
        self.evaluated_steps: dict[str, list[int]] = {}
        self.shares: list[tuple[str, float]] = []
        self.results: dict[str, TrialResult | DescendError] = {}

    def next_trial(self) -> TrialSpec | None:
        return self.specs.pop(0) if self.specs else None

    def on_evaluation(self, key: str, point: EvalPoint) -> bool:
        steps = self.evaluated_steps.setdefault(key, [])
        steps.append(point.step)
        return len(steps) >= self.points

    def on_progress(self, key: str, share: float) -> None:
        self.shares.append((key, share))

    def on_result(self, key: str, result: TrialResult | DescendError) -> None:
        self.results[key] = result


def make_specs(tiny: dict[str, object], *rates: float, **keys: Any) -> list[TrialSpec]:
    configs = [make_config(tiny | {"learning_rate": rate} | keys) for rate in rates]
    return [make_trial_spec(config, steps=12, evaluate_every=4) for config in configs]


@pytest.mark.parametrize("workers", [1, 2])
def test_pruned_trial_equals_trial_with_earlier_stop(tiny: dict[str, object], workers: int) -> None:
    rates = [0.01 * workers + n / 1000 for n in (1, 2, 3)]
    specs = make_specs(tiny, *rates)
    keys = [spec.key for spec in specs]
    steering = EndAt(list(specs), points=2)
    run_adaptive_trials(steering, workers)
    assert set(steering.results) == set(keys)
    for spec in specs:
        result = steering.results[spec.key]
        assert isinstance(result, TrialResult)
        assert steering.evaluated_steps[spec.key] == [4, 8]
        assert result.steps == 8
        assert load_cached_result(spec.key) is None  # the whole spec was not made
        shorter = msgspec.structs.replace(spec, stop_step=8)
        assert result.key == shorter.key
        again = run_trial(msgspec.structs.replace(shorter, evaluation_tokens=32_767))
        assert result.validation_loss == pytest.approx(again.validation_loss, abs=1e-6)


def test_unpruned_trial_is_complete_and_cached(tiny: dict[str, object]) -> None:
    (spec,) = make_specs(tiny, 0.0301)
    steering = EndAt([spec], points=99)
    run_adaptive_trials(steering, 1)
    # The last judgment is the end: there is nothing to decide.
    assert steering.evaluated_steps[spec.key] == [4, 8]
    assert steering.results[spec.key] == load_cached_result(spec.key)
    again = EndAt([spec], points=1)
    run_adaptive_trials(again, 1)
    assert again.evaluated_steps == {}
    assert again.results == steering.results


def test_a_steered_trial_says_how_far_it_is(
    tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "PROGRESS_EVERY_SECONDS", 0.0)
    (spec,) = make_specs(tiny, 0.0303)
    steering = EndAt([spec], points=1)
    run_adaptive_trials(steering, 1)
    assert steering.shares == [(spec.key, pytest.approx(step / 12)) for step in (1, 2, 3, 4)]


@pytest.mark.slow
def test_adaptive_workers_report_progress(tiny: dict[str, object]) -> None:
    config = make_config(tiny | {"learning_rate": 0.0304})
    spec = make_trial_spec(config, steps=4000, evaluate_every=1000)
    steering = EndAt([spec], points=99)
    run_adaptive_trials(steering, 2)
    shares = [share for key, share in steering.shares if key == spec.key]
    assert shares
    assert shares == sorted(shares)
    assert 0 < shares[0] < 1
    assert isinstance(steering.results[spec.key], TrialResult)


def test_failed_adaptive_trial_is_reported(tiny: dict[str, object]) -> None:
    (bad,) = make_specs(tiny, 0.0302)
    bad = msgspec.structs.replace(bad, config=bad.config | {"learning_rate": -1})
    (good,) = make_specs(tiny, 0.0303)
    steering = EndAt([bad, good], points=1)
    run_adaptive_trials(steering, 1)
    assert isinstance(steering.results[bad.key], ConfigError)
    assert isinstance(steering.results[good.key], TrialResult)
