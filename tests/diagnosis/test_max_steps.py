"""What is tried and recommended for a run that a number of steps ends, whatever its epochs say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from descend import run
from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.causes import too_little_data, undertrained
from descend.diagnosis.combinations import combined_trial_series
from descend.diagnosis.effects import TreatmentEffect
from descend.diagnosis.measure import measure_run
from descend.diagnosis.run_context import RunContext, load_run_context
from descend.diagnosis.treatments import (
    Treatment,
    control_config,
    make_treatment_spec,
    recommended_changes,
    up_to_whole_epoch,
)
from descend.diagnosis.trial_budget import TrialBudget
from descend.diagnosis.trial_series import (
    TrialSeries,
    are_cached,
    make_series_spec,
    run_series_trials,
)
from descend.metrics.measurement import Measurement
from descend.runs.events import Step

STEPS = 24
"""Of a run that is cut short within its first pass over the text."""


@pytest.fixture
def short(tiny: dict[str, Any]) -> RunContext:
    """A finished run of `STEPS` steps and of 3 of warmup."""
    run(tiny | {"max_steps": STEPS, "warmup_steps": 3, "save_dir": "short"})
    return load_run_context(Path("short"))


def test_run_length_is_max_steps(short: RunContext) -> None:
    one_pass = short.batches.steps(1)
    assert one_pass > 1.5 * STEPS
    assert short.total_steps == len(short.steps) == STEPS
    measurements = measure_run(short)
    assert measurements["steps"].value == STEPS
    assert measurements["epochs"].value == pytest.approx(STEPS / one_pass, rel=0.02)


def test_distribution_shift_is_measured_when_the_text_was_read_in_part(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    words = "the cat sat on the mat and the dog lay in the yard. "
    text = tmp_path / "two.txt"
    text.write_text(words * 700 + "QZXJ VKWQ! " * 370, encoding="utf-8")
    run(tiny | {"corpus_dir": str(text), "max_steps": STEPS, "save_dir": "two", "epoch": 1})
    measurements = measure_run(load_run_context(Path("two")))
    assert measurements["distribution_shift_nats"].value > 0.3


def test_twice_the_steps_are_twice_the_steps(short: RunContext, tiny: dict[str, Any]) -> None:
    base = control_config(short)
    twice, *_ = undertrained.trial(base, {})
    assert make_treatment_spec(short, base, twice, STEPS, 0).steps == 2 * STEPS
    keys = recommended_changes(short, base, twice)
    assert keys == {"max_steps": 2 * STEPS, "warmup_steps": 6}
    requested_config = tiny | {"max_steps": STEPS, "warmup_steps": 3} | keys
    longer = run(requested_config | {"save_dir": "longer"})
    assert sum(isinstance(r, Step) for r in longer.records) == 2 * STEPS


@pytest.mark.parametrize(("key", "factor"), [("batch_size", 4), ("batch_size", 0.25),
                                             ("seq_len", 2)])  # fmt: skip
def test_max_steps_scales_with_tokens_per_step(short: RunContext, key: str, factor: float) -> None:
    base = control_config(short)
    change = TreatmentChange("", {key: int(short.config.model_dump()[key] * factor)})
    keys = recommended_changes(short, base, change)
    assert keys["max_steps"] == STEPS / factor  # equal tokens
    assert keys["warmup_steps"] == round(3 / factor)
    spec = make_treatment_spec(short, base, change, STEPS, 0)
    # What is tried is what is recommended.
    assert (spec.steps, spec.config["warmup_steps"]) == (keys["max_steps"], keys["warmup_steps"])


def test_another_vocabulary_reads_the_same_text(short: RunContext) -> None:
    base = control_config(short)
    change = TreatmentChange("", {"vocab_size": 270, "vocab_path": None})
    keys = recommended_changes(short, base, change)
    assert keys["vocab_size"] == 270
    assert keys["max_steps"] == make_treatment_spec(short, base, change, STEPS, 0).steps
    assert keys["max_steps"] > 1.1 * STEPS  # shorter tokens, so more of them


def test_too_little_data_counts_epochs_from_those_made_when_max_steps_is_set(
    tiny: dict[str, Any], short: RunContext
) -> None:
    measurements = {
        "best_epoch": Measurement("best_epoch", 2 / 3, ""),
        "validation_loss_increase_after_best": Measurement(
            "validation_loss_increase_after_best", 1.0, ""
        ),
        "epochs": Measurement("epochs", 2.5, ""),
    }
    base = control_config(short).model_copy(update={"epoch": 3})
    fewer = next(c for c in too_little_data.trial(base, measurements) if "epoch" in c.keys)
    assert fewer.label == "2 passes over the text instead of 2.5"
    assert fewer.steps == pytest.approx(0.8)


def gain_of(treatment: Treatment) -> TreatmentEffect:
    """A gain by `treatment`; how large is of no account here."""
    return TreatmentEffect(treatment, 4.0, 3.8, 0.2, 0.1, 0.3, 0.05, 0.001, 3, 1000, 1.0, 1.0)


def test_combination_with_more_steps_trains_more_steps(short: RunContext) -> None:
    base = control_config(short)
    change, *_ = undertrained.trial(base, {})
    twice = Treatment("undertrained", change)
    series = TrialSeries(short, base, STEPS, TrialBudget(0.0), lambda stage, share: None)
    again = combined_trial_series(series, gain_of(twice), None)
    rate = Treatment(
        "learning_rate_too_low", TreatmentChange("a higher rate", {"learning_rate": 0.02})
    )
    run_series_trials(again, [(None, again.seed), (rate, again.seed)], "")
    control, treated = again.results[None, again.seed], again.results[rate, again.seed]
    assert control.steps == treated.steps == 2 * STEPS
    assert again.run_fraction == series.run_fraction == 1
    tried = make_treatment_spec(short, base, rate.change, STEPS, series.seed)
    combined = combined_trial_series(series, gain_of(rate), None)
    on_top = make_series_spec(combined, None, series.seed)
    assert on_top is not None
    assert on_top.key == tried.key  # so that it is not trained again
    batch = TreatmentChange("half the batch", {"batch_size": 2})
    keys = recommended_changes(short, again.base, batch, again.full_length_factor)
    assert keys["max_steps"] == 4 * STEPS


def test_trials_are_cached_after_they_were_made(short: RunContext) -> None:
    base = control_config(short)
    rate = Treatment("learning_rate_too_low", TreatmentChange("higher", {"learning_rate": 0.017}))
    series = TrialSeries(short, base, STEPS, TrialBudget(0.0), lambda stage, share: None)
    run_series_trials(series, [(None, series.seed)], "")
    assert are_cached(series, [None])
    assert not are_cached(series, [None, rate])
    run_series_trials(series, [(rate, series.seed)], "")
    assert are_cached(series, [None, rate])


def test_recommended_length_is_a_whole_epoch_when_the_text_was_read_in_part(
    short: RunContext,
) -> None:
    base = control_config(short)
    change, *_ = undertrained.trial(base, measure_run(short))
    one_epoch = short.batches.steps(1)
    keys = recommended_changes(short, base, up_to_whole_epoch(change))
    assert keys["max_steps"] == pytest.approx(max(one_epoch, 2 * STEPS), rel=0.03)
    series = TrialSeries(short, base, STEPS, TrialBudget(0.0), lambda stage, share: None)
    part = replace(change, whole_epoch_steps=8.0)
    combined = combined_trial_series(series, gain_of(Treatment("undertrained", part)), None)
    assert (combined.full_length_factor, combined.recommended_length_factor) == (2, 8)
