"""Verdicts over effects and measurements made up so that the answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from descend.config import RunConfig
from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.causes import CAUSES
from descend.diagnosis.causes.undertrained import CAUSE
from descend.diagnosis.effects import TreatmentEffect
from descend.diagnosis.limitations import describe_unread_part
from descend.diagnosis.ranking import rank_causes
from descend.diagnosis.treatments import Treatment
from descend.diagnosis.verdict import Verdict, decide_verdict, decide_without_trials
from descend.metrics.measurement import Measurement, Measurements

from .made_effects import gain

CONFIG = RunConfig(vocab_size=2048, epoch=3, warmup_steps=0, schedule="constant")


def make_measurements(**values: float) -> Measurements:
    return {name: Measurement(name, value, "") for name, value in values.items()}


def verdict(gains: list[TreatmentEffect], run_fraction: float = 1.0, **values: float) -> Verdict:
    ranked_causes = rank_causes(CAUSES, CONFIG, make_measurements(**values))
    prescriptions = {g.treatment.cause: {"batch_size": 3} for g in gains}
    return decide_verdict(
        ranked_causes, make_measurements(**values), gains, prescriptions, run_fraction
    )


def test_verdict_is_the_cause_with_maximum_effect() -> None:
    decision = verdict([gain("learning_rate_too_low", 0.2), gain("batch_too_large", 0.3)])
    assert decision.verdict == "batch_too_large"
    assert decision.probability > 0.9
    assert decision.findings[0].recommended_config == {"batch_size": 3}
    assert decision.best_effect is not None
    reasons = {r.cause: r.reason for r in decision.ruled_out}
    assert "another change helps more" in reasons["learning_rate_too_low"]


def test_insignificant_large_effect_is_inconclusive() -> None:
    """Large enough by what was measured, by chance perhaps; and too small whatever its interval."""
    effects = [gain("learning_rate_too_low", 0.0), gain("batch_too_large", 0.03, 0.02)]
    left = {
        r.cause: r.is_inconclusive
        for r in verdict([*effects, gain("context_too_short", 0.5)]).ruled_out
        if r.trial
    }
    assert left == {"learning_rate_too_low": False, "batch_too_large": True}
    chance = replace(gain("batch_too_large", 0.3), p_holm=0.125)
    reasons = {
        r.cause: r.reason for r in verdict([gain("context_too_short", 0.9), chance]).ruled_out
    }
    assert reasons["batch_too_large"].endswith("not significant (Holm-adjusted p = 0.12)")


def test_similar_effects_split_the_probability() -> None:
    decision = verdict(
        [gain("learning_rate_too_low", 0.29, 0.05), gain("batch_too_large", 0.3, 0.05)]
    )
    assert decision.verdict == "batch_too_large"
    assert [f.cause for f in decision.findings] == ["batch_too_large", "learning_rate_too_low"]
    assert 0.4 < decision.probability < 0.7
    assert sum(f.probability for f in decision.findings) <= 1.0


@pytest.mark.parametrize("mean", [-0.2, 0.0, 0.01])
def test_nothing_worth_having_is_healthy(mean: float) -> None:
    # 0.01 of 4 nats is under half a percent.
    decision = verdict([gain("learning_rate_too_low", mean, 0.002), gain("bad_schedule", -0.1)])
    assert decision.verdict == "healthy"
    assert decision.findings == []


def test_costly_treatment_needs_a_larger_effect() -> None:
    assert verdict([gain("model_too_small", 0.07, buys=True)]).verdict == "healthy"
    assert verdict([gain("model_too_small", 0.07)]).verdict == "model_too_small"
    assert verdict([gain("model_too_small", 0.2, buys=True)]).verdict == "model_too_small"


def test_insignificant_effect_gives_unknown_verdict() -> None:
    decision = verdict([gain("learning_rate_too_low", 0.09, 0.05)])
    assert decision.verdict == "unknown"
    assert decision.best_effect is None
    # It is reported as what may be, and not recommended.
    assert [f.cause for f in decision.findings] == ["learning_rate_too_low"]
    assert decision.findings[0].probability < 0.9
    assert decision.findings[0].recommended_config == {}
    assert decision.findings[0].trial is not None


def test_lead_that_is_expected_to_fade_is_a_candidate_where_nothing_is_proved() -> None:
    """A run with a weight decay of 10 had leveled off, so that 0.17 nats of lead became 0.02."""
    fading = replace(gain("over_regularized", 0.17, 0.03), extrapolated_reduction=0.0199)
    decision = verdict([fading, gain("model_too_small", -0.1)], gap_to_ngram_nats=0.34)
    assert decision.verdict == "unknown"
    assert [f.cause for f in decision.findings] == ["over_regularized"]
    assert decision.findings[0].recommended_config == {}


def test_unlikely_cause_is_no_candidate_when_nothing_is_proved() -> None:
    decision = verdict([
        gain("over_regularized", 0.3, 0.2), gain("batch_too_large", 0.06, 0.01),
    ])  # fmt: skip
    assert all(finding.probability >= 0.05 for finding in decision.findings)


def test_small_insignificant_effect_gives_healthy_verdict() -> None:
    """Under a hundredth of the loss: more than would count if it were sure."""
    little = gain("learning_rate_too_low", 0.035, 0.01)
    assert verdict([little]).verdict == "learning_rate_too_low"
    doubtful = verdict([replace(little, p_holm=0.2)])
    assert doubtful.verdict == "healthy"
    assert doubtful.probability < 0.95
    assert any(out.trial and out.trial.is_inconclusive for out in doubtful.ruled_out)


def test_vanishing_extrapolated_effect_gives_healthy_verdict() -> None:
    lasting = replace(gain("learning_rate_too_low", 0.2), extrapolated_reduction=0.15)
    assert verdict([lasting]).verdict == "learning_rate_too_low"
    assert verdict([replace(lasting, extrapolated_reduction=0.001)]).verdict == "healthy"


def test_neutral_treatments_at_entropy_limit_give_noise_floor() -> None:
    neutral = [gain("learning_rate_too_low", 0.0), gain("bad_schedule", -0.01)]
    assert (
        verdict(neutral, fourgram_loss_reduction=0.0, gap_to_ngram_nats=0.01).verdict
        == "noise_floor"
    )
    assert (
        verdict(neutral, fourgram_loss_reduction=0.3, gap_to_ngram_nats=0.01).verdict == "healthy"
    )
    assert verdict(neutral, fourgram_loss_reduction=0.0, gap_to_ngram_nats=0.2).verdict == "healthy"
    # Worse than counting is not healthy because no single change gained anything.
    for run_fraction in (0.1, 1.0):
        worse = verdict(neutral, run_fraction, fourgram_loss_reduction=0.3, gap_to_ngram_nats=1.07)
        assert worse.verdict == "unknown"


def test_unigram_level_loss_is_not_noise_floor() -> None:
    neutral = [gain("learning_rate_too_low", 0.0), gain("bad_schedule", -0.01)]
    known = {
        "fourgram_loss_reduction": 0.0,
        "gap_to_ngram_nats": 0.0,
        "measured_validation_loss": 1.94,
        "unigram_loss": 1.95,
    }
    for information, expected in ((0.003, "noise_floor"), (0.9, "unknown")):
        known["token_mutual_information_nats"] = information
        assert verdict(neutral, 1.0, **known).verdict == expected


NOISE = {"order_information_nats": 0.003, "chance_loss": 1.0, "unigram_loss": 3.0,
         "token_mutual_information_nats": 1.7, "fourgram_loss_reduction": 1.0}  # fmt: skip
"""Random words, spelled in letters: the letters tell of each other, the words do not."""


def test_noise_at_its_floor_is_noise_whatever_a_vocabulary_gains() -> None:
    at_floor = NOISE | {"measured_validation_loss": 1.01, "gap_to_ngram_nats": 0.02}
    for cause in ("vocabulary_too_small", "vocabulary_too_large", "learning_rate_too_low"):
        assert verdict([gain(cause, 0.2)], **at_floor).verdict == "noise_floor"
    assert verdict([gain("bad_schedule", 0.0)], **at_floor).verdict == "noise_floor"
    ranked_causes = rank_causes(CAUSES, CONFIG, make_measurements(**at_floor))
    without = decide_without_trials(ranked_causes, make_measurements(**at_floor))
    assert without.verdict == "noise_floor"
    text = at_floor | {"order_information_nats": 0.1}
    assert verdict([gain("vocabulary_too_small", 0.2)], **text).verdict == "vocabulary_too_small"


def test_noise_above_its_floor_has_other_causes_than_the_vocabulary() -> None:
    above = NOISE | {"measured_validation_loss": 1.5, "gap_to_ngram_nats": 0.4}
    assert verdict([gain("vocabulary_too_small", 0.2)], **above).verdict == "noise_floor"
    slow = [gain("learning_rate_too_low", 0.4), gain("vocabulary_too_small", 0.2)]
    assert verdict(slow, **above).verdict == "learning_rate_too_low"


def test_a_leak_outranks_noise() -> None:
    leak = NOISE | {"measured_validation_loss": 1.01, "gap_to_ngram_nats": 0.02}
    leak |= {"exact_contamination_fraction": 0.4, "uncontaminated_loss_increase": 0.5}
    assert verdict([gain("bad_schedule", 0.0)], **leak).verdict == "data_leakage"


@pytest.mark.parametrize(
    ("copied", "duplicates", "causes"),
    [
        (1.0, 0.98, ["duplicate_data", "data_leakage"]),
        (0.6, 0.9, ["duplicate_data", "data_leakage"]),
        (0.8, 0.0, ["data_leakage"]),
    ],
)
def test_no_setting_follows_from_validation_text_that_is_mostly_copied(
    copied: float, duplicates: float, causes: list[str]
) -> None:
    measured = {"exact_contamination_fraction": copied, "duplicate_train_fraction": duplicates}
    gains = [gain("vocabulary_too_small", 1.2), gain("model_too_small", 0.0)]
    decision = verdict(gains, **measured)
    assert [f.cause for f in decision.findings] == causes
    assert all(f.recommended_config == {} for f in decision.findings)
    assert decision.best_effect is None
    untested = {o.cause for o in decision.ruled_out if o.is_untested}
    assert untested == {"vocabulary_too_small", "model_too_small"}
    assert all(o.trial is None for o in decision.ruled_out)


def test_too_little_data_verdict_also_recommends_best_config() -> None:
    text = gain("too_little_data", 0.9)
    text = replace(
        text,
        treatment=Treatment(
            text.treatment.cause, TreatmentChange("half", {}, is_ablation=True), True
        ),
    )
    decision = verdict([text, gain("vocabulary_too_large", 0.3), gain("batch_too_large", 0.1)])
    assert decision.verdict == "too_little_data"
    assert [f.cause for f in decision.findings] == ["too_little_data", "vocabulary_too_large"]
    first, setting = decision.findings
    assert (first.recommended_config, setting.recommended_config) == ({}, {"batch_size": 3})
    assert min(first.probability, setting.probability) > 0.9
    assert decision.best_effect is not None
    assert decision.best_effect.treatment.cause == "vocabulary_too_large"
    # Alone, it has what makeshifts it has; nothing can be tested on top of more text.
    alone = verdict([text])
    assert alone.findings[0].recommended_config == {"batch_size": 3}
    assert alone.best_effect is None
    # Where it was counted, its trial stands in nobody's way.
    counted = verdict([text, gain("vocabulary_too_large", 0.3)], train_tokens=300.0)
    assert [f.cause for f in counted.findings] == ["too_little_data", "vocabulary_too_large"]
    assert counted.findings[1].probability > 0.9


def test_invalid_evaluation_outranks_effects() -> None:
    leaky = {
        "exact_contamination_fraction": 0.4,
        "uncontaminated_loss_increase": 0.5,
        "duplicate_train_fraction": 0.0,
    }
    decision = verdict([gain("learning_rate_too_low", 0.9)], **leaky)
    assert decision.verdict == "data_leakage"
    edited = {
        "exact_contamination_fraction": 0.0,
        "fuzzy_contamination_fraction": 0.4,
        "uncontaminated_loss_increase": 0.5,
        "duplicate_train_fraction": 0.0,
    }
    decision = verdict([gain("learning_rate_too_low", 0.9)], **edited)
    assert decision.verdict == "data_leakage"
    assert [e.metric for e in decision.findings[0].evidence] == [
        "fuzzy_contamination_fraction",
        "uncontaminated_loss_increase",
    ]
    # What gained on text that was trained on is neither told as proved nor recommended.
    assert [f.cause for f in decision.findings] == ["data_leakage"]
    assert decision.best_effect is None
    assert [r.cause for r in decision.ruled_out if r.also_improves] == ["learning_rate_too_low"]
    # On honest text of another kind it is.
    decision = verdict([gain("learning_rate_too_low", 0.9)], distribution_shift_nats=0.8)
    assert [f.cause for f in decision.findings] == ["distribution_shift", "learning_rate_too_low"]
    assert decision.findings[1].recommended_config
    copied = {"exact_contamination_fraction": 1.0, "duplicate_train_fraction": 0.75}
    assert verdict([], **copied).verdict == "duplicate_data"
    assert verdict([], distribution_shift_nats=0.8).verdict == "distribution_shift"
    # The last tenth of a book is never quite like the rest: tiny Shakespeare reads 0.21.
    assert verdict([gain("bad_schedule", 0.0)], distribution_shift_nats=0.21).verdict == "healthy"


def test_tiny_corpus_verdict_overrides_other_metrics() -> None:
    # Ten short sentences, one update: all the signs of a low rate, none of a text memorized.
    slow = {
        "critical_step_multiplier_fresh": 76.0,
        "update_to_weight_ratio": 0.0005,
        "generalization_gap_nats": 0.1,
        "validation_loss_increase_after_best": 0.0,
        "epochs": 1.0,
    }
    for config in (CONFIG, CONFIG.model_copy(update={"epoch": 1})):
        for tokens, expected_cause in ((65.0, "too_little_data"), (999.0, "too_little_data"),
                               (1000.0, "learning_rate_too_low")):  # fmt: skip
            known = make_measurements(**slow, train_tokens=tokens)
            decision = decide_without_trials(rank_causes(CAUSES, config, known), known)
            assert decision.verdict == expected_cause
            assert decision.probability > 0.8
            assert len([e for e in decision.findings[0].evidence if e.metric == "train_tokens"]) < 2
    # By trial too: what gains most of so little text is no fix.
    gains = [gain("learning_rate_too_low", 0.9)]
    assert verdict(gains, train_tokens=900.0).verdict == "too_little_data"
    assert verdict(gains, train_tokens=1000.0).verdict == "learning_rate_too_low"


def test_verdict_without_trials_uses_metrics() -> None:
    slow = {"critical_step_multiplier_fresh": 200.0, "update_to_weight_ratio": 0.0005}
    ranked_causes = rank_causes(CAUSES, CONFIG, make_measurements(**slow))
    assert (
        decide_without_trials(ranked_causes, make_measurements(**slow)).verdict
        == "learning_rate_too_low"
    )
    known = {
        "generalization_gap_nats": 2.0,
        "validation_loss_increase_after_best": 0.5,
        "epochs": 20.0,
        "train_tokens": 500.0,
    }
    ranked_causes = rank_causes(CAUSES, CONFIG, make_measurements(**known))
    assert (
        decide_without_trials(ranked_causes, make_measurements(**known)).verdict
        == "too_little_data"
    )
    # A rate 30 times too high whose curve fell smoothly: only inside the network it shows.
    calm = {
        "update_to_weight_ratio": 0.013,
        "gradient_norm_p99_over_p50": 2.0,
        "max_loss_increase": 0.05,
        "critical_step_multiplier_fresh": 2.0,
    }
    assert (
        rank_causes(CAUSES, CONFIG, make_measurements(**calm))[0].cause.name
        != "learning_rate_too_high"
    )
    ruined = calm | {
        "max_attention_logit": 1302.0,
        "effective_rank_fraction": 0.15,
        "dead_unit_fraction": 0.0,
    }
    assert (
        rank_causes(CAUSES, CONFIG, make_measurements(**ruined))[0].cause.name
        == "learning_rate_too_high"
    )
    sound = {"max_attention_logit": 17.0, "effective_rank_fraction": 0.9, "dead_unit_fraction": 0.0}
    both = (rank_causes(CAUSES, CONFIG, make_measurements(**calm | x)) for x in ({}, sound))
    one, other = ({s.cause.name: s.log_odds for s in ranked_causes} for ranked_causes in both)
    assert one == other, "that nothing is ruined says nothing"
    # The default recipe on tiny Shakespeare, nine passes: much text, yet memorized.
    much = known | {"generalization_gap_nats": 1.14, "epochs": 9.0, "train_tokens": 3.5e5}
    ranked_causes = rank_causes(CAUSES, CONFIG, make_measurements(**much))
    assert (
        decide_without_trials(ranked_causes, make_measurements(**much)).verdict == "too_little_data"
    )


def twice_the_steps(num_epochs: float, mean: float, half_width: float) -> TreatmentEffect:
    """Return the effect of twice the steps on one seed of a run that read so much of its text."""
    first = CAUSE.treatments(CONFIG, make_measurements(epochs=num_epochs))[0]
    return replace(
        gain("undertrained", mean),
        treatment=Treatment("undertrained", first, is_costly=True),
        control_loss=6.3, low=mean - half_width, high=mean + half_width,
        std_error=half_width / 2, extrapolated_reduction=0.8 * mean, full_run_control_loss=6.05,
    )  # fmt: skip


def test_verdict_is_undertrained_when_doublings_to_a_whole_epoch_count_together() -> None:
    """7.7 % of the text read, 0.09 nats expected of the next doubling: 0.42 came of the rest."""
    effect = twice_the_steps(0.077, 0.112, 0.05)
    assert verdict([effect], 0.35, epochs=0.077, gap_to_ngram_nats=2.0).verdict == "undertrained"
    whole = twice_the_steps(1.0, 0.112, 0.05)
    assert verdict([whole], 0.35, epochs=1.0, gap_to_ngram_nats=2.0).verdict != "undertrained"


@pytest.mark.parametrize("run_fraction", [0.35, 1.0])
def test_verdict_lists_undertrained_as_candidate_when_it_may_be_chance(run_fraction: float) -> None:
    effect = replace(twice_the_steps(0.077, 0.112, 0.108), p_holm=0.2)
    decision = verdict([effect], run_fraction, epochs=0.077, gap_to_ngram_nats=2.0)
    assert decision.verdict == "unknown"
    assert [f.cause for f in decision.findings] == ["undertrained"]


def test_verdict_is_not_healthy_when_unread_text_may_still_help() -> None:
    """A trial too noisy to tell rules nothing out; an exact one of a plateau does."""
    noisy = verdict([twice_the_steps(0.077, 0.01, 0.1)], epochs=0.077, measured_validation_loss=2.0)
    assert noisy.verdict == "unknown"
    assert next(r for r in noisy.ruled_out if r.cause == "undertrained").is_inconclusive
    flat = verdict([twice_the_steps(0.077, 0.0, 0.01)], epochs=0.077, measured_validation_loss=2.0)
    assert flat.verdict == "healthy"
    assert not next(r for r in flat.ruled_out if r.cause == "undertrained").is_inconclusive


def test_describe_unread_part_gives_the_command_when_the_text_was_not_read_once() -> None:
    values = make_measurements(epochs=0.077)
    flat = verdict([twice_the_steps(0.077, 0.0, 0.01)], epochs=0.077, measured_validation_loss=2.0)
    noisy = verdict([twice_the_steps(0.077, 0.01, 0.1)], epochs=0.077, measured_validation_loss=2.0)
    (note,) = describe_unread_part(noisy, values, Path("models/fix1"))
    assert "7.7%" in note
    assert "`descend continue models/fix1 --epoch 1`" in note
    assert describe_unread_part(flat, values, Path("models/fix1")) == []
    assert describe_unread_part(noisy, make_measurements(epochs=1.0), Path("x")) == []


def test_describe_unread_part_names_the_fix_first_when_there_is_one() -> None:
    values = make_measurements(epochs=0.077)
    fixed = verdict([gain("learning_rate_too_high", 0.4, 0.02)], epochs=0.077)
    assert [finding.cause for finding in fixed.findings] == ["learning_rate_too_high"]
    (note,) = describe_unread_part(fixed, values, Path("models/bad"))
    assert "`descend train --from-run models/bad --apply-fix --epoch 1`" in note
    assert "continue" not in note
