"""From measurements to ranked causes: how much each cause is to be expected before anything is
tried."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from descend.config import RunConfig
from descend.diagnosis.cause import Cause, ExpectedRange
from descend.diagnosis.diagnosis_result import Evidence
from descend.diagnosis.metric_text import CRITICAL_STEP, explain_long_step
from descend.diagnosis.reference_ranges import reference_range
from descend.metrics.measurement import Measurement, Measurements


class RankedCause(msgspec.Struct, frozen=True):
    """A cause and its log-odds (nats) against the others; `because` where it is out of question."""

    cause: Cause
    log_odds: float
    exclusion_reason: str | None


def rank_causes(
    causes: Sequence[Cause], config: RunConfig, measurements: Measurements
) -> list[RankedCause]:
    """Return all causes, the most probable first; those out of the question last."""
    ranked_causes = [
        RankedCause(c, cause_log_odds(c, measurements), c.exclusion_reason(config, measurements))
        for c in causes
    ]
    return sorted(ranked_causes, key=lambda s: (s.exclusion_reason is not None, -s.log_odds))


def cause_log_odds(cause: Cause, measurements: Measurements) -> float:
    """Return its prior and the weights of what it expects: for a measurement inside, against one
    outside."""
    return cause.prior_log_odds + sum(
        e.weight if in_expected_range(e, measurements[e.metric]) else -e.penalty
        for e in cause.expected_ranges
        if e.metric in measurements
    )


def softmax_probabilities(scores: Sequence[float], healthy: float) -> list[float]:
    """Probabilities of the causes with `scores`, and last that of none, `healthy` its score."""
    logits = [*scores, healthy]
    highest = max(logits)
    weights = [math.exp(x - highest) for x in logits]
    return [w / sum(weights) for w in weights]


def supporting_evidence(cause: Cause, measurements: Measurements) -> list[Evidence]:
    """Return the measurements that speak for `cause`. One that is usual is no evidence, though it
    may have made a cause a little more likely."""
    return [
        evidence_of(measurements[e.metric], e.reason)
        for e in cause.expected_ranges
        if e.metric in measurements
        and in_expected_range(e, measurements[e.metric])
        and not is_usual(measurements[e.metric])
    ]


def is_usual(measurement: Measurement) -> bool:
    """Return whether `measurement` lies in its reference range; not where no value of it is
    unusual."""
    low, high = reference_range(measurement.metric, measurement.optimizer)
    if low is None and high is None:
        return False
    return (low is None or measurement.value >= low) and (high is None or measurement.value <= high)


def contrary_evidence(cause: Cause, measurements: Measurements) -> list[Evidence]:
    """Return the measurements that speak against `cause`."""
    return [
        evidence_of(measurements[e.metric], e.reason)
        for e in cause.expected_ranges
        if e.metric in measurements and not in_expected_range(e, measurements[e.metric])
    ]


def evidence_of(measurement: Measurement, why: str) -> Evidence:
    """Return a measurement with its healthy range and what it means."""
    if why and measurement.metric == CRITICAL_STEP:
        why = explain_long_step(measurement.value) or why
    normal_range = reference_range(measurement.metric, measurement.optimizer)
    return Evidence(
        measurement.metric, measurement.value, measurement.unit, normal_range, why, measurement.ci95
    )


def in_expected_range(expected: ExpectedRange, measurement: Measurement) -> bool:
    """Return whether `measurement` is what is expected."""
    low = -math.inf if expected.low is None else expected.low
    high = math.inf if expected.high is None else expected.high
    return low <= measurement.value <= high
