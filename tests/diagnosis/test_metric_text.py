"""A metric as a person reads it."""

from __future__ import annotations

import pytest

from descend.diagnosis.causes import CAUSES
from descend.diagnosis.metric_text import (
    CRITICAL_STEP,
    METRIC_LABELS,
    format_metric,
    format_metric_range,
    format_range_with_unit,
    format_reference_range,
    metric_label,
)
from descend.diagnosis.ranking import supporting_evidence
from descend.diagnosis.reference_ranges import REFERENCE_RANGES, reference_range
from descend.handbook.metric_glossary import METRIC_DESCRIPTIONS, PAGE_METRICS
from descend.metrics.measurement import Measurement

TEXTS = {
    ("rare_token_fraction", 0.0565, "of the tokens in use"): (
        "rare tokens 5.65% of the tokens in use"
    ),
    ("train_tokens", 7550.0, "tokens"): "train tokens 7,550",
    ("steps", 1610.0, "steps"): "steps 1,610",
    ("generalization_gap_nats", 0.361, "nats"): "generalization gap 0.361 nats",
    ("max_attention_logit", 12.5, ""): "largest attention logit 12.5",
    ("update_to_weight_ratio", 0.0000626, "per step"): "update to weight ratio 0.0000626 per step",
}


@pytest.mark.parametrize(("metric", "value", "unit"), TEXTS)
def test_format_metric_shows_label_value_and_unit(metric: str, value: float, unit: str) -> None:
    assert format_metric(metric, value, unit) == TEXTS[metric, value, unit]


def test_format_metric_range_is_in_percent_when_the_value_is() -> None:
    assert format_metric_range("rare_token_fraction", (None, 0.3)) == "under 30%"
    assert format_metric_range("effective_context_fraction", (0.25, None)) == "over 25%"
    assert format_metric_range("bytes_per_token", (2.0, None)) == "over 2"
    assert format_metric_range("gradient_noise_scale", (0.3, 30.0)) == "0.3 to 30"
    assert format_metric_range("steps", (None, None)) == ""
    assert format_metric_range("warmup_fraction", (None, None)) == ""
    assert format_range_with_unit("distribution_shift_nats", (0.3, None)) == "over 0.3 nats"
    assert format_range_with_unit("rare_token_fraction", (None, 0.3)) == "under 30%"
    assert format_range_with_unit("distribution_shift_nats", (None, None)) == ""


def test_format_reference_range_names_the_range_of_adamw() -> None:
    assert format_reference_range("update_to_weight_ratio") == (
        "0.002 to 0.03 (AdamW: 0.0003 to 0.01)"
    )


def test_labels_name_no_unit_that_the_value_has() -> None:
    metrics = {name for names in PAGE_METRICS.values() for name in names}
    metrics |= {e.metric for cause in CAUSES for e in cause.expected_ranges}
    assert metrics >= METRIC_LABELS.keys() | METRIC_DESCRIPTIONS.keys()
    for metric in metrics:
        label = metric_label(metric)
        assert "_" not in label
        assert not label.endswith((" fraction", " nats"))
        # A range in percent must not lie beyond what a fraction can be.
        if metric in REFERENCE_RANGES and metric.endswith("_fraction"):
            assert all(bound is None or 0 <= bound <= 1 for bound in reference_range(metric))


def test_evidence_says_how_many_times_a_step_is_too_long() -> None:
    too_high = next(c for c in CAUSES if c.name == "learning_rate_too_high")

    def reasons(multiplier: float) -> list[str]:
        one = Measurement(CRITICAL_STEP, multiplier, "times the step")
        return [e.reason for e in supporting_evidence(too_high, {CRITICAL_STEP: one})]

    assert reasons(1 / 64) == ["a step is about 64 times too long"]
    assert reasons(1.0) == []
