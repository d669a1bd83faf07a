"""The reference ranges of metrics."""

from __future__ import annotations

from descend.diagnosis.reference_ranges import (
    RANGE_SOURCES,
    REFERENCE_RANGES,
    UNMEASURED,
    format_range,
    range_source,
    reference_range,
)


def test_reference_range_depends_on_the_optimizer_where_steps_are_measured() -> None:
    assert reference_range("update_to_weight_ratio") == (0.002, 0.03)
    assert reference_range("update_to_weight_ratio", "adamw") == (0.0003, 0.01)
    assert reference_range("parameters") == (None, None)


def test_format_range_names_the_bounds_that_exist() -> None:
    assert format_range((0.5, 6.0)) == "0.5 to 6"
    assert format_range((None, 3.0)) == "under 3"
    assert format_range((2.0, None)) == "over 2"
    assert format_range((None, None)) == ""


def test_range_source_is_unmeasured_without_another() -> None:
    assert RANGE_SOURCES.keys() <= REFERENCE_RANGES.keys()
    assert range_source("clipped_step_fraction") == UNMEASURED
    assert range_source("initial_loss_ratio") != UNMEASURED
