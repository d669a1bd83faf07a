"""A metric as a person reads it: its label, its value, and its reference range.

A metric whose value is a fraction is shown in percent, and so is its range, so that the two can be
compared.
"""

from __future__ import annotations

from descend.diagnosis.reference_ranges import (
    OPTIMIZER_RANGES,
    Range,
    format_range,
    reference_range,
)
from descend.units import format_significant, humanize_name

METRIC_LABELS = {
    "best_epoch": "best epoch after",
    "clipped_step_fraction": "gradients clipped in",
    "context_benefit_nats": "benefit of the context",
    "critical_step_multiplier_fresh": "critical step multiplier",
    "dead_unit_fraction": "dead units",
    "distribution_shift_nats": "distribution shift",
    "duplicate_train_fraction": "duplicates",
    "embedding_parameter_fraction": "embeddings",
    "final_lr_fraction": "final learning rate",
    "fuzzy_contamination_fraction": "near-duplicate contamination",
    "gradient_norm_p99_over_p50": "spread of the gradient norm",
    "initial_loss_ratio": "initial loss",
    "max_attention_logit": "largest attention logit",
    "mutual_information_beyond_context": "information beyond the context",
    "near_zero_lr_fraction": "learning rate near zero in",
    "rare_token_fraction": "rare tokens",
    "rare_token_loss_fraction": "loss on rare tokens",
    "residual_stream_rms": "residual stream",
    "token_mutual_information_nats": "information between tokens",
    "order_information_nats": "information in the order of words",
    "validation_minus_unread_train_nats": "validation loss above that of unread training text",
}
"""Labels that the name of a metric does not give."""

CRITICAL_STEP = "critical_step_multiplier_fresh"

_FRACTION, _NATS = "_fraction", "_nats"
_PERCENT_METRICS = {"best_epoch", "dropout_rate", "mean_confidence", "validation_accuracy"}


def metric_label(metric: str) -> str:
    """Return the label of `metric`, without the unit that its name ends in."""
    name = metric.removesuffix(_FRACTION).removesuffix(_NATS)
    return METRIC_LABELS.get(metric) or humanize_name(name)


def is_percentage(metric: str) -> bool:
    """Return whether the value of `metric` is a fraction and is shown in percent."""
    return metric.endswith(_FRACTION) or metric in _PERCENT_METRICS


def format_metric_value(metric: str, value: float) -> str:
    """Format a value with three significant digits: `0.00123`, `5.65%`, `7,550`."""
    if is_percentage(metric):
        return f"{format_significant(100 * value)}%"
    return format_significant(value)


def format_metric(metric: str, value: float, unit: str) -> str:
    """Format a metric: `rare tokens 5.65% of the tokens in use`, `train tokens 7,550`.

    A unit that the label ends in is not repeated.
    """
    label = metric_label(metric)
    unit = "" if label.endswith(unit) else unit
    return f"{label} {format_metric_value(metric, value)} {unit}".rstrip()


def explain_long_step(critical_multiplier: float) -> str:
    """Say in plain words how many times a step is too long; empty where it is not.

    `critical_multiplier`: of the step, from which on the loss no longer falls.
    """
    low, _ = reference_range(CRITICAL_STEP)
    if low is None or not 0 < critical_multiplier < low:
        return ""
    return f"a step is about {1 / critical_multiplier:.2g} times too long"


def format_metric_range(metric: str, value_range: Range) -> str:
    """Format a range of `metric`: `0.5 to 6`, `under 30%`. It is empty without a bound."""
    if not is_percentage(metric):
        return format_range(value_range)
    low, high = (None if bound is None else 100 * bound for bound in value_range)
    text = format_range((low, high))
    return f"{text}%" if text else ""


def format_range_with_unit(metric: str, value_range: Range) -> str:
    """Format a range that no value stands beside: `over 0.3 nats`, `under 30%`."""
    text = format_metric_range(metric, value_range)
    return f"{text} nats" if text and metric.endswith(_NATS) else text


def format_reference_range(metric: str) -> str:
    """Return the reference range of `metric` as text, with that of AdamW where it differs."""
    text = format_range_with_unit(metric, reference_range(metric))
    if (metric, "adamw") in OPTIMIZER_RANGES:
        text += f" (AdamW: {format_metric_range(metric, reference_range(metric, 'adamw'))})"
    return text
