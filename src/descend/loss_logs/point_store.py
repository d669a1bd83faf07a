"""The points of every loss that a log holds, and what is forgotten of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from descend.loss_logs.column_names import Split
from descend.loss_logs.points import Point
from descend.loss_logs.series import SeriesKey, best_series

MIN_LOSSES = 3
"""Losses of a run from which it is judged."""
MAX_POINTS = 40_000
"""Of a series that no thinning of lines has made smaller: then every second is dropped."""


@dataclass
class PointStore:
    """Each loss as a series of its own, perplexities by their split, and rows without a loss."""

    series: dict[SeriesKey, list[Point]] = field(default_factory=dict)
    perplexities: dict[Split | None, list[Point]] = field(default_factory=dict)
    losses_lost: list[Point] = field(default_factory=list)
    """Rows with a gradient that is no number and no loss."""
    previous_run: dict[SeriesKey, list[Point]] = field(default_factory=dict)
    """The series of the last run that was forgotten and could be judged."""

    def rewind(self, place: float | None, writer: str = "") -> int:
        """Forget what `writer` logged after `place`: the run went back there. Return how many
        points that were."""
        if place is None:
            return 0
        dropped = 0
        for points in self._of_writer(writer):
            while points and (points[-1].place or 0.0) > place:
                points.pop()
                dropped += 1
        return dropped

    def clear(self, writer: str) -> None:
        """Forget all that `writer` logged, as another run begins."""
        if len(self.training_of(writer)) >= MIN_LOSSES:
            self.previous_run = {k: p[:] for k, p in self.series.items() if k.writer == writer}
        for points in self._of_writer(writer):
            points.clear()

    def training_of(self, writer: str) -> list[Point]:
        """Return the training loss of `writer`: of its series the one that tells most."""
        own = {key: points for key, points in self.series.items() if key.writer == writer}
        return best_series(own, {"train", None}) or []

    def restore_previous_run(self) -> bool:
        """Bring back the run before the last one where that has just begun; return whether it was
        brought back. A loss that is no number is enough for a verdict."""
        values = [p.value for k, points in self.series.items() for p in points
                  if k.split != "validation"]  # fmt: skip
        has_begun = max(map(len, self.series.values()), default=0) < MIN_LOSSES
        if not has_begun or not self.previous_run or not all(map(math.isfinite, values)):
            return False
        self.series |= self.previous_run
        return True

    def thin(self) -> None:
        """Drop every second point of series that have become too long."""
        for points in self.series.values():
            if len(points) > MAX_POINTS:
                del points[1:-1:2]

    def drop_thinned_lines(self) -> None:
        """Drop the points of lines that were thinned out."""
        for points in (*self.series.values(), *self.perplexities.values()):
            points[:] = [p for p in points if p.line is None or p.line.stays]

    def _of_writer(self, writer: str) -> list[list[Point]]:
        own = [points for key, points in self.series.items() if key.writer == writer]
        return [*own, *self.perplexities.values(), self.losses_lost]
