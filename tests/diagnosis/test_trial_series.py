"""The results of paired trials: pairs, lengths, and losses across tokenizers."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import pytest

from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.effects import estimate_effects
from descend.diagnosis.treatments import Treatment
from descend.diagnosis.trial_rounds import HALF_STEPS
from descend.diagnosis.trial_series import (
    TrialSeries,
    best_validation_point,
    comparable_loss,
    control_loss_by_steps,
    drop_too_short,
    leads_by_pairs,
    list_treatments,
    make_series_spec,
    paired_reductions,
)
from descend.trials.trial_spec import EvalPoint

from .made_effects import LESS, RATE, make_result


def test_paired_reductions_pair_equal_seeds_only(series: TrialSeries) -> None:
    seed = series.seed
    series.results = {
        (None, seed): make_result(4.0), (None, seed + 1): make_result(5.0),
        (RATE, seed): make_result(3.5), (RATE, seed + 2): make_result(1.0),
        (LESS, seed): make_result(4.2),
    }  # fmt: skip
    assert paired_reductions(series, RATE) == [0.5]
    assert paired_reductions(series, LESS) == [pytest.approx(0.2)]  # what halving costs
    assert list_treatments(series) == [RATE, LESS]


def test_control_loss_by_steps_holds_controls_of_every_length(series: TrialSeries) -> None:
    seed = series.seed
    series.results = {(None, seed): make_result(4.0), (RATE, seed): make_result(3.5),
                      (HALF_STEPS, seed): make_result(4.5)}  # fmt: skip
    assert control_loss_by_steps(series) == {series.steps: 4.0, series.steps / 2: 4.5}
    assert list_treatments(series) == [RATE]


def test_comparable_loss_converts_another_vocabulary_by_bits_per_byte() -> None:
    change = TreatmentChange("", {"vocab_size": 400})
    control, other = make_result(4.0, 2.0), make_result(6.0, 1.5)
    assert comparable_loss(other, control, change) == pytest.approx(3.0)
    assert comparable_loss(other, control, RATE.change) == 6.0


LARGER = Treatment("vocabulary_too_small", TreatmentChange("larger", {"vocab_size": 4000}))


@pytest.mark.parametrize(("control", "larger", "is_compared"), [
    (math.log(60) - 0.1, math.log(4000) - 0.1, False),  # two guesses: fewer nats per byte
    (2.9, math.log(4000) - 0.1, False),
    (math.log(60) - 0.1, 6.0, False),
    (2.9, 6.0, True),
])  # fmt: skip
def test_vocabularies_are_compared_only_where_both_sides_learned(
    series: TrialSeries, control: float, larger: float, is_compared: bool
) -> None:
    bits = {"control": control / math.log(2), "larger": larger / 3.5 / math.log(2)}
    results = {
        (None, series.seed): make_result(control, bits["control"]),
        (LARGER, series.seed): make_result(larger, bits["larger"]),
    }
    sizes = {None: 60, LARGER: 4000}
    series.results = {
        pair: msgspec.structs.replace(result, vocab_size=sizes[pair[0]])
        for pair, result in results.items()
    }
    assert comparable_loss(series.results[LARGER, series.seed],
                           series.results[None, series.seed], LARGER.change) < control  # fmt: skip
    reductions = paired_reductions(series, LARGER)
    assert reductions == ([pytest.approx(control - larger / 3.5)] if is_compared else [])


def test_vocabularies_are_not_compared_where_the_control_knows_frequencies_only(
    series: TrialSeries,
) -> None:
    store = series.recorded_run.store
    assert store is not None
    unigram = store.info.ngram_baselines.unigram
    for control, is_compared in ((unigram * 1.01, False), (unigram * 0.9, True)):
        series.invalid_treatments.clear()
        series.results = {
            (None, series.seed): msgspec.structs.replace(
                make_result(control, control / math.log(2)), vocab_size=store.info.vocab_size
            ),
            (LARGER, series.seed): msgspec.structs.replace(make_result(5.0, 1.0), vocab_size=4000),
        }
        assert bool(paired_reductions(series, LARGER)) == is_compared


@pytest.mark.parametrize(("fraction", "vocab_size", "factor", "is_early"), [
    (0.25, 4000, 1.01, True),
    (0.25, 4000, 0.9, False),
    (0.25, 8, 1.01, False),  # a smaller vocabulary that leads all the same
    (1.0, 4000, 1.01, False),
])  # fmt: skip
def test_larger_vocabulary_leads_by_longer_tokens_until_the_control_beats_bigrams(
    series: TrialSeries, fraction: float, vocab_size: int, factor: float, is_early: bool
) -> None:
    store = series.recorded_run.store
    assert store is not None
    series.steps = round(series.steps * fraction)
    baselines = replace(store.info.ngram_baselines, unigram=4.0, bigram=2.5)
    info = msgspec.structs.replace(store.info, ngram_baselines=baselines)
    series.recorded_run = replace(series.recorded_run, store=replace(store, info=info))
    control, larger = (
        msgspec.structs.replace(make_result(loss, bits), vocab_size=size)
        for loss, bits, size in (
            (2.5 * factor, 3.0, store.info.vocab_size), (1.5, 2.0, vocab_size),
        )
    )  # fmt: skip
    series.results = {(None, series.seed): control, (LARGER, series.seed): larger}
    assert leads_by_pairs(series, LARGER) == is_early
    (effect,) = estimate_effects(series, None)
    assert effect.is_doubtful == is_early
    assert not (is_early and effect.is_significant)


def test_best_validation_point_is_the_lowest_of_the_curve() -> None:
    point = EvalPoint(
        step=1, tokens=8, seconds=1.0, train_loss=3.2, validation_loss=3.0, accuracy=0.1,
        bits_per_byte=1.4,
    )  # fmt: skip
    result = msgspec.structs.replace(make_result(4.0, 2.0), curve=[point])
    assert best_validation_point(result) == (3.0, 1.4)


def test_make_series_spec_keeps_the_reason_of_an_impossible_change(series: TrialSeries) -> None:
    odd = Treatment("model_too_small", TreatmentChange("odd width", {"embed_dim": 17}))
    assert make_series_spec(series, odd, series.seed) is None
    assert "embed_dim" in series.invalid_treatments[odd]
    assert make_series_spec(series, RATE, series.seed) is not None


def test_drop_too_short_leaves_out_what_short_trials_cannot_show(series: TrialSeries) -> None:
    needs_half = Treatment("a", TreatmentChange("", {}, min_run_fraction=0.5))
    assert drop_too_short(series, [[RATE], [needs_half]]) == [[RATE], [needs_half]]
    series.steps = series.steps // 4
    assert drop_too_short(series, [[RATE], [needs_half]]) == [[RATE]]
