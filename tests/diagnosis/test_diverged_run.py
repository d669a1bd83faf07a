"""A run that diverged: where it began, and the mildest change that comes past it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from descend.diagnosis.causes import CAUSES
from descend.diagnosis.diverged_run import DivergenceTrials, diagnose_divergence
from descend.diagnosis.ranking import rank_causes
from descend.diagnosis.run_context import RunContext
from descend.diagnosis.sentences import NOTHING_PREVENTS_DIVERGENCE
from descend.diagnosis.treatments import Treatment
from descend.diagnosis.trial_budget import TrialBudget
from descend.diagnosis.trial_length import num_parallel_trials
from descend.diagnosis.trial_series import TrialSeries, make_series_spec
from descend.diagnosis.verdict import Verdict
from descend.progress import ignore_progress
from descend.runs.events import Rollback, TrainingStopped
from descend.trials.cached_trial import cache_result

from .made_effects import make_result

ROLLBACK = Rollback(step=0, failed_step=5, problem="a loss of nan", adjustment="rate", value=0.33)


def diagnose(
    context: RunContext, seconds: float = 0.0
) -> tuple[Verdict, list[str], DivergenceTrials]:
    ranked_causes = rank_causes(CAUSES, context.config, {})
    return diagnose_divergence(context, ranked_causes, {}, TrialBudget(seconds), ignore_progress)


def test_diagnosis_names_the_step_of_the_first_rollback(context: RunContext) -> None:
    later = msgspec.structs.replace(ROLLBACK, failed_step=9, value=0.11)
    verdict, warnings, past = diagnose(context.with_parts(rollbacks=(ROLLBACK, later)))
    assert verdict.verdict == "diverged"
    first, rollbacks = verdict.findings[0].evidence
    assert (first.metric, first.value, first.reason) == ("first_bad_step", 5.0, "a loss of nan")
    assert (rollbacks.metric, rollbacks.value) == ("rollbacks", 2.0)
    assert "the learning rate times 0.11" in rollbacks.reason
    assert (warnings, past) == ([], DivergenceTrials())
    assert verdict.findings[0].recommended_config == {}
    assert {other.cause for other in verdict.ruled_out} == {c.name for c in CAUSES} - {"diverged"}
    assert all(other.is_untested for other in verdict.ruled_out)


def test_diagnosis_names_the_step_after_the_last_when_the_run_stopped(context: RunContext) -> None:
    stopped = TrainingStopped(step=7, reason="diverged", time="", problem="a gradient of inf")
    verdict, warnings, _ = diagnose(context.with_parts(stopped=stopped))
    (first,) = verdict.findings[0].evidence
    assert (first.value, first.reason) == (8.0, "a gradient of inf")
    assert len(warnings) == 1


def test_diagnosis_names_the_first_step_far_above_guessing(context: RunContext) -> None:
    steps = [
        msgspec.structs.replace(step, loss=1e3) if step.step >= 4 else step
        for step in context.steps
    ]
    verdict, _, _ = diagnose(context.with_parts(steps=tuple(steps)))
    (first,) = verdict.findings[0].evidence
    assert first.value == 4.0
    assert "far above random guessing" in first.reason


@pytest.fixture
def treatments(context: RunContext) -> list[Treatment]:
    (cause,) = (cause for cause in CAUSES if cause.name == "diverged")
    return [Treatment("diverged", change) for change in cause.treatments(context.config, {})]


def cache_trials(
    series: TrialSeries, losses: dict[Treatment | None, float | None],
) -> None:  # fmt: skip
    """Cache a trial of each treatment with its loss; None where it diverges."""
    for treatment, loss in losses.items():
        spec = make_series_spec(series, treatment, series.seed)
        assert spec is not None
        result = make_result(9.0, diverged_step=3) if loss is None else make_result(loss)
        cache_result(msgspec.structs.replace(result, key=spec.key))


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.usefixtures("empty_cache")
def test_diagnosis_recommends_the_mildest_change_near_the_best(
    context: RunContext, series: TrialSeries, treatments: list[Treatment]
) -> None:
    first, second, third, *rest = treatments
    losses = {None: None, first: None, second: 3.05, third: 3.0} | dict.fromkeys(rest, 3.04)
    cache_trials(series, losses)
    verdict, warnings, past = diagnose(context.with_parts(rollbacks=(ROLLBACK,)), 1e9)
    assert past.treatment == second
    assert past.again
    assert warnings == []
    finding = verdict.findings[0]
    assert finding.trial is not None
    assert (finding.trial.control_loss, finding.trial.treatment_loss) == (9.0, 3.05)
    assert finding.recommended_config.items() >= second.change.keys.items()


@pytest.mark.usefixtures("empty_cache")
def test_diagnosis_takes_a_stronger_change_when_the_mild_one_ends_higher(
    context: RunContext, series: TrialSeries, treatments: list[Treatment]
) -> None:
    first, second, *rest = treatments
    cache_trials(series, {None: None, first: 3.2, second: 3.0} | dict.fromkeys(rest, 3.0))
    _, _, past = diagnose(context.with_parts(rollbacks=(ROLLBACK,)), 1e9)
    assert past.treatment == second


@pytest.mark.usefixtures("empty_cache")
def test_diagnosis_recommends_nothing_when_every_change_diverges(
    context: RunContext, series: TrialSeries, treatments: list[Treatment]
) -> None:
    cache_trials(series, {None: None} | dict.fromkeys(treatments, None))
    verdict, warnings, past = diagnose(context.with_parts(rollbacks=(ROLLBACK,)), 1e9)
    assert warnings == [NOTHING_PREVENTS_DIVERGENCE]
    assert past.treatment is None
    assert verdict.findings[0].recommended_config == {}


@pytest.mark.usefixtures("empty_cache")
def test_diagnosis_says_what_was_untested_and_that_divergence_vanished(
    context: RunContext, series: TrialSeries, treatments: list[Treatment]
) -> None:
    cache_trials(series, {None: 3.0} | dict.fromkeys(treatments, 3.0))
    diverged = context.with_parts(rollbacks=(ROLLBACK,))
    _, [vanished], past = diagnose(diverged, 1e9)
    assert not past.again
    assert "did not diverge again" in vanished
    _, [untested, _], _ = diagnose(diverged, 1e-6)
    num_tested = max(2, num_parallel_trials(series.base)) - 1  # and the control beside them
    num = len(treatments)
    assert untested.startswith(f"{num - num_tested} of {num} changes were not tested")
