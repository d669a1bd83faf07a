"""The one form of every error: location, expected, found, fix."""

from __future__ import annotations

import pytest

from descend.errors import ConfigError, format_error


@pytest.mark.parametrize(
    ("fix", "advice"),
    [
        ("lower it", "Fix: Lower it."),
        ("`descend list` shows the runs", "Fix: `descend list` shows the runs."),
        ("learning_rate = 0.001 is usual", "Fix: learning_rate = 0.001 is usual."),
        ("did you mean guide", "Did you mean guide?"),
        ("use a number.", "Fix: Use a number."),
    ],
)
def test_error_states_expected_value_actual_value_and_fix(fix: str, advice: str) -> None:
    expected = f"batch_size: expected 1 or more, but found 0. {advice}"
    assert format_error("batch_size", "0", "1 or more", fix) == expected
    error = ConfigError("batch_size", "0", "1 or more", fix)
    assert str(error) == expected
    assert (error.location, error.actual, error.expected, error.fix) == (
        "batch_size", "0", "1 or more", fix,
    )  # fmt: skip


def test_long_values_are_shortened_in_the_message() -> None:
    assert len(str(ConfigError("key", "x" * 10**5, "less", "cut it"))) < 1000
