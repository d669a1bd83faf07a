"""Progress bars show old values again: which of their values are new measures."""

from __future__ import annotations

from dataclasses import dataclass, field

from descend.loss_logs.points import same_value
from descend.loss_logs.series import SeriesKey


@dataclass
class ProgressBars:
    """How far the bars of a log are, and the values of validation that they show."""

    done: dict[float, float] = field(default_factory=dict)
    """How far a bar is, by what it counts up to."""
    ended_validations: int = 0
    """Bars of validation that have ended."""
    last_values: dict[SeriesKey, tuple[float, int]] = field(default_factory=dict)
    """The last value of each loss, and `ended_validations` at that time."""

    def is_new(self, key: SeriesKey, value: float) -> bool:
        """Return whether a value differs from the one before, or a bar of validation ended
        since."""
        last, ended = self.last_values.get(key, (None, None))
        if same_value(last, value) and ended == self.ended_validations:
            return False
        self.last_values[key] = value, self.ended_validations
        return True
