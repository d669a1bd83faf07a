"""From rows to points: which loss is which, and where each row stands.

Each loss is a series of its own, by its name, its split and whether its lines name a step, so that
no two training losses are ever merged. `finished_log` makes a curve of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from descend.loss_logs.finished_log import make_log
from descend.loss_logs.log import LossLog
from descend.loss_logs.log_facts import LogFacts
from descend.loss_logs.log_row import Row
from descend.loss_logs.point_store import PointStore
from descend.loss_logs.points import Point
from descend.loss_logs.progress_bars import ProgressBars
from descend.loss_logs.row_places import RowPlaces
from descend.loss_logs.series import SeriesKey, is_same_point
from descend.loss_logs.several_runs import is_of_earlier_run


@dataclass
class CurveAssembly:
    """What has been read so far."""

    facts: LogFacts = field(default_factory=LogFacts)
    points: PointStore = field(default_factory=PointStore)
    bars: ProgressBars = field(default_factory=ProgressBars)
    places: RowPlaces = field(init=False)
    _rate: float | None = None
    _rate_order: int = 0
    """How many rows there were when that rate was stated."""
    _last_order: int = 0
    """Of the last row of training."""
    _last_points: list[Point] = field(default_factory=list)
    """Points of the last row of training: a rate on a line of its own is theirs."""

    def __post_init__(self) -> None:
        self.places = RowPlaces(self.points, self.facts)

    def set_context(self, row: Row) -> None:
        """Take a row without a loss: a heading, or a rate logged on its own."""
        places = self.places
        self.facts.measures.add(row)
        if row.epoch is not None:
            places.epoch = row.epoch
        lost = row.gradient_norm is not None and not math.isfinite(row.gradient_norm)
        if lost and (row.step is not None or places.place is not None):
            place = places.place_step(row) if row.step is not None else places.place
            point = Point(self.facts.rows, place, row.epoch, math.nan, row.rate)
            self.points.losses_lost.append(point)
        places.add_step_row(row)
        self._take_rate(row)

    def _take_rate(self, row: Row) -> None:
        """Add a rate or a gradient on a line of its own to the loss of its step."""
        last = self.places.last
        same = row.step is None or (last is not None and last.step == row.step)
        if row.rate is not None:
            self._rate, self._rate_order = row.rate, self.facts.rows
        if same and not self.places.uses_step_rows:
            for point in self._last_points:
                point.rate = point.rate if row.rate is None else row.rate
                if row.gradient_norm is not None:
                    point.gradient_norm = row.gradient_norm

    def add(self, row: Row) -> bool:
        """Take a row; False if there is no loss in it."""
        self.facts.note_accuracy(row)
        if not row.losses and not row.perplexities:
            self.set_context(row)
            return False
        self.facts.rows += 1
        self.facts.lost_validations += row.has_lost_validation
        self.facts.measures.add(row)
        if row.rate is not None:
            self._rate, self._rate_order = row.rate, self.facts.rows
        is_training = bool(row.training) or (
            not row.losses and any(s != "validation" for s, _ in row.perplexities)
        )
        before = self.places.place
        place = self.places.place_row(row, is_training=is_training)
        if self.places.begins_run and is_of_earlier_run(self._rate_order, 0, self._last_order):
            self._rate = None
        self._last_order = self.facts.rows if is_training else self._last_order
        other_place = self.places.place_by_other_counter(row, is_training=is_training)
        self._last_points = [] if is_training else self._last_points
        for meaning, split, word, value in row.losses:
            key = SeriesKey(
                meaning.name, split, word, row.step is not None, meaning.rank,
                row.step is not None and row.is_counted_to_total and not row.bar, row.writer,
            )  # fmt: skip
            if row.bar and (split == "validation" or meaning.rank == 3):
                if not self.bars.is_new(key, value):
                    continue
                if is_training and before is not None and row.step != row.total:
                    place = before
            point = self._point(row, place, value)
            point.other_place = other_place
            point.beside_training = is_training and not row.bar
            point.bars = dict(self.bars.done) if self.bars.done and row.step is None else None
            if split != "validation":
                point.rate = self._rate if point.rate is None else point.rate
                point.rate_order = self._rate_order
                self._last_points.append(point)
            self._store(key, point, row, is_training=is_training)
        self.facts.compare_perplexity(row)
        for split, value in row.perplexities:
            loss = math.log(value) if value > 0 and math.isfinite(value) else math.nan
            self.points.perplexities.setdefault(split, []).append(self._point(row, place, loss))
        return True

    def _point(self, row: Row, place: float | None, loss: float) -> Point:
        return Point(
            self.facts.rows, place, self.places.epoch, loss, row.rate, row.gradient_norm, row.line
        )

    def _store(self, key: SeriesKey, point: Point, row: Row, *, is_training: bool) -> None:
        """Add a point to its series, unless that has it already at this place."""
        points = self.points.series.setdefault(key, [])
        last = points[-1] if points else None
        is_here = (
            row.step is not None and last is not None
            and point.place is not None and last.place == point.place
        )  # fmt: skip
        if is_here and row.bar:
            points[-1] = point
        elif is_here and is_training and last is not None and is_same_point(last, point):
            return  # said twice, as by two handlers or by several processes
        else:
            points.append(point)

    def log(self) -> LossLog | None:
        """Return the curve; None if no loss was read."""
        return make_log(self.facts, self.points, self.places.epoch_starts)
