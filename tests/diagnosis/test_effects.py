"""What follows from results: intervals, and what a short trial is worth at full length."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from descend.config import make_config
from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.combinations import combined_trial_series
from descend.diagnosis.effects import control_curve, estimate_effects
from descend.diagnosis.treatments import Treatment
from descend.diagnosis.trial_budget import TrialBudget
from descend.diagnosis.trial_rounds import HALF_STEPS
from descend.diagnosis.trial_series import (
    OF_THE_CURVE,
    TrialSeries,
    control_loss_by_steps,
    list_treatments,
)
from descend.metrics.power_law import PowerLaw
from descend.progress import ignore_progress
from descend.trials.trial_spec import TrialResult

LAW = PowerLaw(asymptote=2.0, scale=40.0, offset=0.0, exponent=0.5)
FULL = 10_000
TWICE = Treatment(
    "undertrained", TreatmentChange("twice the steps", {"epoch": 2}, steps=2.0), is_costly=True
)
HIGHER = Treatment(
    "learning_rate_too_low", TreatmentChange("three times", {"learning_rate": 0.003})
)


def make_result(loss: float) -> TrialResult:
    return TrialResult(
        key="", steps=1, tokens=1000, train_tokens=1000, vocab_size=1000, parameters=1, seconds=1.0,
        peak_bytes=None, curve=[], validation_loss=loss, accuracy=0.1, bits_per_byte=loss,
        diverged_step=None, chunk_losses=[],
    )  # fmt: skip


def make_series(steps: int, losses: dict[Treatment | None, list[float]]) -> TrialSeries:
    """A trial series that was run, with these losses by treatment and seed."""
    context = SimpleNamespace(
        total_steps=FULL, config=SimpleNamespace(seed=0), epochs=(), steps=range(FULL), store=None
    )
    series = TrialSeries(
        cast(Any, context), make_config({}), steps, TrialBudget(0.0), ignore_progress
    )
    for treatment, by_seed in losses.items():
        for seed, loss in enumerate(by_seed):
            series.results[treatment, seed] = make_result(loss)
    return series


def test_effect_interval_uses_paired_differences() -> None:
    losses: dict[Treatment | None, list[float]] = {None: [4.0, 5.0, 6.0], HIGHER: [3.8, 4.8, 5.8]}
    (gain,) = estimate_effects(make_series(FULL, losses), None)
    assert gain.mean_reduction == pytest.approx(0.2)  # pairs cancel what seeds have in common
    assert gain.seeds == 3
    assert 0.15 < gain.low < 0.2 < gain.high < 0.25
    assert gain.extrapolated_reduction is None
    assert gain.is_significant


def test_single_seed_effect_needs_correction_for_multiple_treatments() -> None:
    others = [Treatment("learning_rate_too_low", TreatmentChange(f"no {n}", {})) for n in range(9)]
    losses: dict[Treatment | None, list[float]] = {None: [4.0], HIGHER: [3.92]}
    alone = estimate_effects(make_series(FULL, losses), None)[0]
    among = estimate_effects(make_series(FULL, losses | {x: [4.0] for x in others}), None)[0]
    assert alone.low == among.low > 0
    assert alone.is_significant
    assert not among.is_significant  # one of ten gains as much by chance


def test_effect_p_value_includes_variance_across_segments() -> None:
    """Three seeds agree, but the gain stands in one of four segments of the text."""
    losses: dict[Treatment | None, list[float]] = {None: [4.0] * 3, HIGHER: [3.9] * 3}
    even, uneven = make_series(FULL, losses), make_series(FULL, losses)
    for series, treated in ((even, [3.9] * 4), (uneven, [3.6, 4.0, 4.0, 4.0])):
        for treatment, blocks in ((None, [4.0] * 4), (HIGHER, treated)):
            series.results[treatment, 0] = msgspec.structs.replace(
                make_result(blocks[0]), chunk_losses=blocks
            )
            series.results[treatment, 0] = msgspec.structs.replace(
                series.results[treatment, 0], validation_loss=losses[treatment][0]
            )
    (sure,), (open_,) = estimate_effects(even, None), estimate_effects(uneven, None)
    assert sure.mean_reduction == open_.mean_reduction
    assert sure.p_holm < 0.01 < 0.1 < open_.p_holm
    assert sure.is_significant
    assert not open_.is_significant
    assert open_.is_inconclusive


def test_ablation_effect_equals_the_loss_increase() -> None:
    half = Treatment(
        "undertrained",
        TreatmentChange("half", {}, train_fraction=0.5, is_ablation=True),
        is_costly=True,
    )
    (gain,) = estimate_effects(make_series(FULL, {None: [4.0], half: [4.3]}), None)
    assert gain.mean_reduction == pytest.approx(0.3)
    assert gain.treatment_loss == pytest.approx(4.3)


def test_short_trial_effect_is_extrapolated_by_saved_steps() -> None:
    steps = 1000
    losses: dict[Treatment | None, list[float]] = {
        None: [LAW.predict(steps)],
        TWICE: [LAW.predict(2 * steps)],
        HIGHER: [LAW.predict(4 * steps)],
    }
    twice, higher = estimate_effects(make_series(steps, losses), LAW.predict(FULL))
    # The higher rate saves three quarters of the steps, at full length too.
    assert higher.extrapolated_reduction == pytest.approx(
        LAW.predict(FULL) - LAW.predict(4 * FULL), rel=0.1
    )
    assert higher.mean_reduction == pytest.approx(LAW.predict(steps) - LAW.predict(4 * steps))
    assert higher.full_length_reduction < higher.mean_reduction / 2
    assert twice.extrapolated_reduction == pytest.approx(
        LAW.predict(FULL) - LAW.predict(2 * FULL), rel=0.1
    )


def test_control_at_other_lengths_forms_a_loss_curve() -> None:
    """It jumps at 5,000 steps, and no more after 10,000: twice the steps of a short trial gain
    much, twice the run nothing, which only a run of that length shows."""
    steps = 3000
    twice_the_run = Treatment(
        OF_THE_CURVE, TreatmentChange("twice the run", {"epoch": 2}, steps=2 * FULL / steps)
    )
    losses: dict[Treatment | None, list[float]] = {None: [2.0], HALF_STEPS: [2.05], TWICE: [1.0]}
    series = make_series(steps, losses)
    (unseen,) = estimate_effects(series, 0.99)
    series.results[twice_the_run, 0] = make_result(0.99)
    (measured_effect,) = estimate_effects(series, 0.99)
    assert list_treatments(series) == [TWICE]
    assert control_loss_by_steps(series) == {
        1500.0: 2.05,
        3000.0: 2.0,
        6000.0: 1.0,
        2.0 * FULL: 0.99,
    }
    assert measured_effect.mean_reduction == unseen.mean_reduction == pytest.approx(1.0)
    assert measured_effect.full_length_reduction == pytest.approx(0.0, abs=0.01)
    assert not measured_effect.is_significant


def test_effect_error_uses_seed_std_of_trial_series() -> None:
    """A gain of 0.1 on one seed says less where others swing by that from seed to seed."""
    swings = [
        Treatment("learning_rate_too_low", TreatmentChange(f"swings {n}", {})) for n in range(2)
    ]
    losses: dict[Treatment | None, list[float]] = {None: [4.0, 4.0, 4.0], HIGHER: [3.9]}
    (calm,) = estimate_effects(make_series(FULL, losses), None)
    *_, among = estimate_effects(
        make_series(FULL, {x: [4.0, 4.15, 3.85] for x in swings} | losses), None
    )
    assert among.treatment == HIGHER
    assert among.mean_reduction == calm.mean_reduction
    assert among.std_error > 3 * calm.std_error


def test_effect_beyond_control_curve_is_not_extrapolated() -> None:
    """Letters that repeat those further back than the run reads: its curve is flat for ever."""
    losses: dict[Treatment | None, list[float]] = {None: [1.95], TWICE: [1.95], HIGHER: [1.2]}
    _, higher = estimate_effects(make_series(1000, losses), 1.95)
    assert higher.full_length_reduction == pytest.approx(0.75)
    assert higher.is_significant


def test_extrapolated_effects_preserve_order_beyond_steep_curve() -> None:
    """Neither is reached by steps that are followed; as head starts both are worth one."""
    words = Treatment("vocabulary_too_small", TreatmentChange("more tokens", {"vocab_size": 1200}))
    losses: dict[Treatment | None, list[float]] = {
        None: [LAW.predict(1000)], TWICE: [LAW.predict(2000)], words: [1.7], HIGHER: [1.3],
    }  # fmt: skip
    _, smaller, larger = estimate_effects(make_series(1000, losses), LAW.predict(FULL))
    assert larger.full_length_reduction > smaller.full_length_reduction + 0.05
    # What lasts is what they are ahead of the full run, ten times as long, already.
    assert larger.full_length_reduction == pytest.approx(LAW.predict(FULL) - 1.3)
    assert smaller.full_length_reduction == pytest.approx(LAW.predict(FULL) - 1.7)


def test_ablation_effect_is_scaled_for_duplicate_data() -> None:
    change = TreatmentChange(
        "half", {}, train_fraction=0.5, is_ablation=True, inverse_effect_fraction=0.3
    )
    treatment = Treatment("undertrained", change, is_costly=True)
    (gain,) = estimate_effects(make_series(FULL, {None: [4.0], treatment: [4.2]}), None)
    assert gain.mean_reduction == pytest.approx(0.2)
    assert gain.full_length_reduction == pytest.approx(0.06)
    assert not gain.is_significant  # 3 % of 4 nats would have to be bought


def test_harmful_treatment_has_negative_extrapolated_effect() -> None:
    steps = 1000
    losses: dict[Treatment | None, list[float]] = {
        None: [LAW.predict(steps)],
        TWICE: [LAW.predict(2 * steps)],
        HIGHER: [LAW.predict(steps) + 0.3],
    }
    _, higher = estimate_effects(make_series(steps, losses), LAW.predict(FULL))
    assert higher.full_length_reduction < 0
    assert not higher.is_significant


def test_harmful_treatments_do_not_weaken_significance() -> None:
    worse = Treatment("learning_rate_too_low", TreatmentChange("worse", {}))
    losses: dict[Treatment | None, list[float]] = {None: [4.0], HIGHER: [3.9], worse: [4.4]}
    helps, hurts = estimate_effects(make_series(FULL, losses), None)
    assert helps.is_significant
    assert hurts.p_holm > 0.5


def test_min_effect_is_relative_when_loss_is_small() -> None:
    """Letters and texts of few words: a hundredth of a nat is much there."""
    losses: dict[Treatment | None, list[float]] = {None: [0.3] * 3, HIGHER: [0.29, 0.2905, 0.2895]}
    (gain,) = estimate_effects(make_series(FULL, losses), None)
    assert gain.min_effect == pytest.approx(0.003)
    assert gain.is_significant


def test_treatment_significance_ignores_variance_of_other_treatments() -> None:
    """That another one swings from seed to seed does not hide a gain that never fails."""
    swinging = Treatment("learning_rate_too_low", TreatmentChange("swinging", {}))
    losses: dict[Treatment | None, list[float]] = {
        None: [4.0, 4.0, 4.0], HIGHER: [3.8, 3.81, 3.79], swinging: [3.2, 4.5, 3.9],
    }  # fmt: skip
    steady, wild = estimate_effects(make_series(FULL, losses), None)
    assert steady.is_significant
    assert steady.std_error < wild.std_error / 10
    assert not wild.is_significant


def test_larger_model_is_compared_at_equal_time() -> None:
    steps, wider = (
        1000,
        Treatment("model_too_small", TreatmentChange("wider", {"embed_dim": 64}), is_costly=True),
    )
    losses: dict[Treatment | None, list[float]] = {
        None: [LAW.predict(steps)],
        HALF_STEPS: [LAW.predict(steps / 2)],
        wider: [LAW.predict(steps) - 0.5],
    }
    series = make_series(steps, losses)
    slow = msgspec.structs.replace(series.results[wider, 0], seconds=3.0)
    series.results[wider, 0] = slow
    (gain,) = estimate_effects(series, LAW.predict(FULL))
    in_that_time = LAW.predict(steps) - LAW.predict(3 * steps)
    assert gain.reduction_at_equal_time == pytest.approx(0.5 - in_that_time, abs=0.02)


def test_effect_is_bounded_below_by_full_run_loss() -> None:
    """The control hardly falls any more, so no number of steps says what it is worth."""
    losses: dict[Treatment | None, list[float]] = {None: [1.20], TWICE: [1.14], HIGHER: [1.10]}
    twice, higher = estimate_effects(make_series(2500, losses), 1.135)
    assert higher.full_length_reduction == pytest.approx(0.035)
    assert twice.full_length_reduction < 0.01


def test_combination_effect_is_extrapolated_from_base_treatment() -> None:
    """A rate that saves three quarters of the steps, and on top of it a batch that saves half: as
    late on the same curve, half the steps gain less than they would have at first."""
    steps = 1000
    losses: dict[Treatment | None, list[float]] = {
        None: [LAW.predict(steps)],
        TWICE: [LAW.predict(2 * steps)],
        HIGHER: [LAW.predict(4 * steps)],
    }
    first = make_series(steps, losses)
    own = LAW.predict(FULL)
    _, higher = estimate_effects(first, own)
    assert higher.equivalent_step_factor == pytest.approx(4.0, rel=0.05)
    on_top = combined_trial_series(first, higher, control_curve(first, own))
    assert on_top.head_start == higher.equivalent_step_factor
    batch = Treatment("batch_too_large", TreatmentChange("half the batch", {"batch_size": 4}))
    on_top.results[None, 0] = make_result(LAW.predict(4 * steps))
    on_top.results[batch, 0] = make_result(LAW.predict(8 * steps))
    (second,) = estimate_effects(on_top, None)
    assert second.extrapolated_reduction == pytest.approx(
        LAW.predict(4 * FULL) - LAW.predict(8 * FULL), rel=0.2
    )
    assert second.full_length_reduction < second.mean_reduction / 2


def test_min_effect_of_more_data_requires_ablation_effect() -> None:
    change = TreatmentChange(
        "half",
        {},
        is_ablation=True,
        inverse_effect_fraction=0.5,
        max_inverse_effect_nats=0.2,
        min_inverse_effect_nats=0.6,
    )
    half = Treatment("too_little_data", change, is_costly=True)
    (sure,) = estimate_effects(make_series(FULL, {None: [4.0] * 3, half: [4.3, 4.3, 4.31]}), None)
    (none,) = estimate_effects(make_series(FULL, {None: [4.0] * 3, half: [4.01, 3.99, 4.0]}), None)
    assert sure.full_length_reduction == 0.6
    assert none.full_length_reduction < 0.01
