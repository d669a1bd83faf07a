"""A number measured on a run, with its unit and its error."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Measurement(msgspec.Struct, frozen=True):
    """Holds the value of a metric, its unit, and its standard error or 95 % interval."""

    metric: str
    value: float
    unit: str
    std_error: float = 0.0
    ci95: tuple[float, float] | None = None
    optimizer: str = "muon"
    """The optimizer that it was measured with, on which a usual value may depend."""


Measurements = Mapping[str, Measurement]


def measurement_value(measurements: Measurements, metric: str, otherwise: float = 0.0) -> float:
    """Return the value of `metric`, or `otherwise` where it could not be measured."""
    measurement = measurements.get(metric)
    return otherwise if measurement is None else measurement.value
