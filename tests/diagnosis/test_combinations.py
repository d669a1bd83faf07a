"""Several faults in one real run: each treatment is found on top of those before it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from descend import run
from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.causes import CAUSES
from descend.diagnosis.combinations import combined_trial_series, find_additional_causes
from descend.diagnosis.diagnosis_result import NEW_VOCABULARY_METRIC
from descend.diagnosis.effects import estimate_effects
from descend.diagnosis.measure import measure_run
from descend.diagnosis.ranking import rank_causes
from descend.diagnosis.run_context import load_run_context
from descend.diagnosis.treatments import Treatment, control_config, recommended_changes
from descend.diagnosis.trial_budget import TrialBudget
from descend.diagnosis.trial_series import TrialSeries, run_series_trials
from descend.progress import ignore_progress

FAULTY = {
    "embed_dim": 32, "num_heads": 2, "num_layers": 1, "ff_dim": 64, "seq_len": 16, "batch_size": 8,
    "max_seq_len": 64, "vocab_size": 300, "epoch": 1, "optimizer": "adamw", "precision": "float32",
    "learning_rate": 0.0003, "dropout_rate": 0.8, "log_level": "error",
}  # fmt: skip
"""A rate thirty times too low, and dropout that leaves a fifth."""
RATE = Treatment(
    "learning_rate_too_low", TreatmentChange("30 times the rate", {"learning_rate": 0.01})
)
SECONDS = 20.0


def make_two_cause_series(text: str) -> TrialSeries:
    """As long as the run, with nothing tested yet."""
    context = load_run_context(run(FAULTY | {"corpus_dir": text, "save_dir": "faulty"}).folder)
    return TrialSeries(
        context,
        control_config(context),
        context.total_steps,
        TrialBudget(SECONDS),
        ignore_progress,
    )


@pytest.mark.slow
def test_combination_search_detects_second_cause(chain: str) -> None:
    series = make_two_cause_series(chain)
    run_series_trials(series, [(None, series.seed), (RATE, series.seed)], "")
    measurements = measure_run(series.recorded_run)
    ranked_causes = rank_causes(CAUSES, series.recorded_run.config, measurements)
    counted = {c.name for c in CAUSES if c.is_costly}  # they help each run that is as short
    rate = estimate_effects(series, None)[0]
    more = find_additional_causes(
        series, rate, [RATE.cause], ranked_causes, measurements, None, counted
    )
    names = [f.cause for f in more.findings]
    assert names[0] == "over_regularized"
    assert len({*names, RATE.cause}) == len(names) + 1
    assert set(names) <= more.tested_causes
    assert not more.tested_causes & {RATE.cause, *counted}
    for place, finding in enumerate(more.findings):
        assert finding.trial is not None
        assert finding.trial.applied_causes == [RATE.cause, *names[:place]]
        assert finding.trial.seeds > 1
        assert finding.recommended_config
    series.budget.ends = 0.0
    assert (
        find_additional_causes(
            series, rate, [RATE.cause], ranked_causes, measurements, None
        ).findings
        == ()
    )


@pytest.mark.slow
def test_combination_reports_metric_and_config_of_base_treatment(chain: str) -> None:
    series = make_two_cause_series(chain)
    vocabulary = Treatment(
        "vocabulary_too_small", TreatmentChange("", {"vocab_size": 400, "vocab_path": None})
    )
    run_series_trials(series, [(None, series.seed), (vocabulary, series.seed)], "")
    measurements = measure_run(series.recorded_run)
    ranked_causes = rank_causes(CAUSES, series.recorded_run.config, measurements)
    other = estimate_effects(series, None)[0]
    more = find_additional_causes(
        series, other, [vocabulary.cause], ranked_causes, measurements, None
    )
    assert more.findings
    assert all(f.trial and f.trial.metric == NEW_VOCABULARY_METRIC for f in more.findings)

    smaller = Treatment("batch_too_large", TreatmentChange("half the batch", {"batch_size": 2}))
    on_top = combined_trial_series(series, replace(other, treatment=smaller), None)
    assert on_top.combined_with == "half the batch"
    back = TreatmentChange("", {"batch_size": 8, "num_heads": 2})
    assert (
        recommended_changes(series.recorded_run, on_top.base, back)["batch_size"] == 8
    )  # as before the treatment
    assert "num_heads" not in recommended_changes(series.recorded_run, on_top.base, back)
