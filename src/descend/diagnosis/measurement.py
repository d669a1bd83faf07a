"""A number that was read off a run: one word a step, Signal → Reading → Evidence → Finding."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Measurement(msgspec.Struct, frozen=True):
    """What a signal reads on this run, with its unit, and its standard error or its 95 % interval
    where it has one."""

    metric: str
    value: float
    unit: str
    std_error: float = 0.0
    ci95: tuple[float, float] | None = None


Measurements = Mapping[str, Measurement]


def measurement_value(measurements: Measurements, metric: str, otherwise: float = 0.0) -> float:
    """The reading of `signal`, or `otherwise` where it could not be taken."""
    measurement = measurements.get(metric)
    return otherwise if measurement is None else measurement.value
