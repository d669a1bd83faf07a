"""From readings to suspects: how much each cause is to be suspected before anything is tried."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from descend.config import RunConfig
from descend.doctor.cause import Cause, Expectation
from descend.doctor.diagnosis import Evidence
from descend.doctor.healthy import healthy_range
from descend.doctor.reading import Reading, Readings


class Suspect(msgspec.Struct, frozen=True):
    """A cause and its log-odds (nats) against the others; `because` where it is out of question."""

    cause: Cause
    score: float
    because: str | None


def suspects(causes: Sequence[Cause], config: RunConfig, readings: Readings) -> list[Suspect]:
    """All causes, the most suspected first; those out of the question last."""
    found = [Suspect(c, score(c, readings), c.cannot_be(config, readings)) for c in causes]
    return sorted(found, key=lambda s: (s.because is not None, -s.score))


def score(cause: Cause, readings: Readings) -> float:
    """Its prior and the weights of what it expects: for a reading inside, against one outside."""
    return cause.prior + sum(
        e.weight if inside(e, readings[e.signal]) else -e.cost
        for e in cause.expects
        if e.signal in readings
    )


def shares(scores: Sequence[float], healthy: float) -> list[float]:
    """Probabilities of the causes with `scores`, and last that of none, `healthy` its score."""
    logits = [*scores, healthy]
    highest = max(logits)
    weights = [math.exp(x - highest) for x in logits]
    return [w / sum(weights) for w in weights]


def evidence(cause: Cause, readings: Readings) -> list[Evidence]:
    """The readings that speak for `cause`. One that is usual is no evidence, though it may have
    made a cause a little more likely."""
    return [
        evidence_of(readings[e.signal], e.why)
        for e in cause.expects
        if e.signal in readings
        and inside(e, readings[e.signal])
        and not is_usual(readings[e.signal])
    ]


def is_usual(reading: Reading) -> bool:
    """Whether `reading` lies in its reference range; not where no value of it is unusual."""
    low, high = healthy_range(reading.signal)
    if low is None and high is None:
        return False
    return (low is None or reading.value >= low) and (high is None or reading.value <= high)


def against(cause: Cause, readings: Readings) -> list[Evidence]:
    """The readings that speak against `cause`."""
    return [
        evidence_of(readings[e.signal], e.why)
        for e in cause.expects
        if e.signal in readings and not inside(e, readings[e.signal])
    ]


def evidence_of(reading: Reading, why: str) -> Evidence:
    """A reading with its healthy range and what it means."""
    held = healthy_range(reading.signal)
    return Evidence(reading.signal, reading.value, reading.unit, held, why, reading.ci95)


def inside(expected: Expectation, reading: Reading) -> bool:
    """Whether `reading` is what is expected."""
    low = -math.inf if expected.low is None else expected.low
    high = math.inf if expected.high is None else expected.high
    return low <= reading.value <= high
