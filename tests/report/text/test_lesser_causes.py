"""Causes whose treatments gain too, but less than that of the cause found, are not ruled out."""

from __future__ import annotations

import msgspec

from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.combinations import confirmed_finding
from descend.diagnosis.diagnosis_result import Cost, Diagnosis, Finding, OtherCause
from descend.diagnosis.effects import TreatmentEffect
from descend.diagnosis.findings import to_paired_trial
from descend.diagnosis.treatments import Treatment
from descend.report.text.diagnosis_summary import LESSER, format_diagnosis


def gain(cause: str, mean: float, seeds: int = 3) -> TreatmentEffect:
    treatment = Treatment(cause, TreatmentChange(f"the remedy of {cause}", {"learning_rate": 0.01}))
    return TreatmentEffect(
        treatment,
        5.0,
        5.0 - mean,
        mean,
        mean - 0.01,
        mean + 0.01,
        0.005,
        0.001,
        seeds,
        1000,
        9.0,
        1.0,
    )


def finding(cause: str, seeds: int) -> Finding:
    trial = to_paired_trial(gain(cause, 1.0, seeds), 1.0)
    return Finding(
        cause=cause,
        probability=0.9,
        evidence=[],
        recommended_config={},
        advice="mend it",
        trial=trial,
    )


def diagnosed(*ruled_out: OtherCause) -> Diagnosis:
    return Diagnosis(
        run="run", verdict="learning_rate_too_low", probability=0.9,
        causes=[finding("learning_rate_too_low", 3)], ruled_out=list(ruled_out), measurements=[],
        warnings=[], cost=Cost(1.0, 0.1),
    )  # fmt: skip


def test_smaller_effects_are_listed_apart_from_excluded_causes() -> None:
    ruled_out_causes = [
        OtherCause(cause=cause, reason="b", trial=to_paired_trial(gain(cause, mean), 1.0))
        for cause, mean in (("undertrained", 0.4), ("model_too_small", 0.8), ("data_leakage", -0.1))
    ]
    assert [r.also_improves for r in ruled_out_causes] == [True, True, False]
    text = format_diagnosis(diagnosed(*ruled_out_causes))
    assert f"  {LESSER}: model too small, undertrained." in text
    assert "  Ruled out: data leakage (" in text
    explained = format_diagnosis(diagnosed(*ruled_out_causes), explain=True)
    assert explained.index(LESSER) < explained.index("model too small: b")
    assert explained.index("undertrained: b") < explained.index("How each other cause was ruled")


def test_diagnosis_text_omits_smaller_effects_when_absent() -> None:
    out = OtherCause(cause="data_leakage", reason="b")
    assert LESSER not in format_diagnosis(diagnosed(out), explain=True)
    trial = to_paired_trial(gain("undertrained", 0.4), 1.0)
    of_old = OtherCause(cause="undertrained", reason="b",
                      trial=msgspec.structs.replace(trial, is_significant=None))  # fmt: skip
    assert not of_old.also_improves


def test_second_cause_requires_two_seeds() -> None:
    once, twice = finding("batch_too_large", 1), finding("undertrained", 2)
    assert confirmed_finding([once, twice]) is twice
    assert confirmed_finding([once]) is None


def test_second_cause_requires_significance() -> None:
    """As of a second trial series whose verdict is `unknown`: what it finds are guesses."""
    sure = finding("undertrained", 3)
    assert sure.trial is not None
    doubtful = msgspec.structs.replace(
        sure, trial=msgspec.structs.replace(sure.trial, ci95=(-0.01, 0.17), is_significant=False)
    )
    assert confirmed_finding([doubtful]) is None
    assert confirmed_finding([doubtful, sure]) is sure


def test_small_and_inconclusive_effects_say_what_was_measured_and_what_would_decide() -> None:
    small = msgspec.structs.replace(
        to_paired_trial(gain("undertrained", 0.24), 0.25), is_significant=False
    )
    unclear = msgspec.structs.replace(small, is_inconclusive=True)
    others = [
        OtherCause(cause="undertrained", reason="0.24 and about 0.08", trial=small),
        OtherCause(cause="context_too_short", reason="b", trial=unclear),
    ]
    short = msgspec.structs.replace(diagnosed(*others), cost=Cost(68.0, 1.37))
    text = format_diagnosis(short)
    assert "a very small effect: undertrained, 0.24 and about 0.08." in text
    assert (
        "Inconclusive: context too short (`--trial-budget 7` gives trials twice the time)." in text
    )
    tiny = msgspec.structs.replace(short, cost=Cost(60.0, 120.0))
    assert "Inconclusive: context too short." in format_diagnosis(tiny)
