"""From rows to a curve: which loss is which, and where each row stands.

Each loss is a series of its own, by its name, its split and whether its lines name a step, so that
no two training losses are ever merged. At the end one series is the training loss and one the
validation loss. Steps that fall back count on (`Counter`). Validation that names no step, or one
of its own batches, takes the place of the line before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from descend.loss_logs.column_names import Split
from descend.loss_logs.counter import Counter
from descend.loss_logs.log import LogUnit, LossLog
from descend.loss_logs.log_row import Row
from descend.loss_logs.loss_kinds import objective_of
from descend.loss_logs.points import (
    Point,
    join_entries,
    mark_lost_losses,
    merge_writers,
    new_measures,
    place_points,
    same_value,
    take_bar_steps,
    take_finer_steps,
    validation_places,
)
from descend.loss_logs.series import (
    SeriesKey,
    best_series,
    is_in_bits,
    is_same_point,
    with_final,
)

MAX_POINTS = 40_000
"""Of a series that no thinning of lines has made smaller: then every second is dropped."""
MIN_BASE_FRACTION = 0.5
"""A loss under which powers of 2 and of e are too alike to tell the base."""


@dataclass
class Assembly:
    """What has been read so far."""

    kind: str = "console output"
    adam: bool = False
    skipped: int = 0
    rows: int = 0
    objects: int = 0
    dictionaries: int = 0
    progress_lines: int = 0
    names: set[str] = field(default_factory=set)
    series: dict[SeriesKey, list[Point]] = field(default_factory=dict)
    perplexities: dict[Split | None, list[Point]] = field(default_factory=dict)
    losses_lost: list[Point] = field(default_factory=list)
    """Rows with a gradient that is no number and no loss."""
    counters: dict[str, Counter] = field(default_factory=dict)
    other_counters: dict[str, Counter] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    epoch_starts: list[float] = field(default_factory=list)
    bars: dict[float, float] = field(default_factory=dict)
    """How far progress bars are, by what they count up to."""
    validation_runs: int = 0
    """Progress bars of validation that have ended."""
    base_two: int = 0
    """Rows whose perplexity is 2 to the loss, less those where it is e to it."""
    _context: Row | None = None
    _context_number: int = 0
    _used: dict[str, int] = field(default_factory=dict)
    _by_context: bool = False
    _last: Row | None = None
    _place: float | None = None
    _epoch: float | None = None
    _last_points: list[Point] = field(default_factory=list)
    _last_values: dict[SeriesKey, float] = field(default_factory=dict)
    _last_runs: dict[SeriesKey, int] = field(default_factory=dict)
    _rate: float | None = None

    def set_context(self, row: Row) -> None:
        """Take a row without a loss: a heading, or a rate logged on its own."""
        if row.epoch is not None:
            self._epoch = row.epoch
        lost = row.gradient_norm is not None and not math.isfinite(row.gradient_norm)
        if lost and (row.step is not None or self._place is not None):
            place = self._training_place(row) if row.step is not None else self._place
            self.losses_lost.append(Point(self.rows, place, row.epoch, math.nan, row.rate))
        if row.step is not None and not row.bar:
            self._context = row
            self._context_number += 1
        self._take_rate(row)

    def _take_rate(self, row: Row) -> None:
        """A rate or a gradient on a line of its own belongs to the loss of its step."""
        last = self._last
        same = row.step is None or (last is not None and last.step == row.step)
        if row.rate is not None:
            self._rate = row.rate
        if same and not self._by_context:
            for point in self._last_points:
                point.rate = point.rate if row.rate is None else row.rate
                if row.gradient_norm is not None:
                    point.gradient_norm = row.gradient_norm

    def add(self, row: Row) -> bool:
        """Take a row; False if there is no loss in it."""
        if not row.losses and not row.perplexities:
            self.set_context(row)
            return False
        self.rows += 1
        if row.epoch is not None:
            self._epoch = row.epoch
        self._rate = row.rate if row.rate is not None else self._rate
        training = row.training
        is_training = bool(training) or (
            not row.losses and any(s != "validation" for s, _ in row.perplexities)
        )
        own = row.step is not None
        before = self._place
        if is_training:
            place = (
                self._training_place(row, training[0] if training else None)
                if own
                else self._from_context(row)
            )
            if place is not None:
                self._place, self._last = place, row if own else self._last
        else:
            place = self._validation_place(row)
        other_place = self._other_place(row, is_training)
        self._last_points = [] if is_training else self._last_points
        epoch = row.epoch if row.epoch is not None else self._epoch
        for meaning, split, word, value in row.losses:
            key = SeriesKey(
                meaning.name, split, word, own, meaning.rank,
                own and row.is_counted_to_total and not row.bar, row.writer,
            )  # fmt: skip
            is_validation = split == "validation" or meaning.rank == 3
            if row.bar and is_validation:
                if not self._is_new(key, value):
                    continue
                if is_training and before is not None and row.step != row.total:
                    place = before
            point = Point(self.rows, place, epoch, value, row.rate, row.gradient_norm, row.line)
            point.other_place = other_place
            point.beside_training = is_training and not row.bar
            point.bars = dict(self.bars) if self.bars and not own else None
            if split != "validation":
                point.rate = self._rate if point.rate is None else point.rate
                self._last_points.append(point)
            points = self.series.setdefault(key, [])
            here = own and points and points[-1].place == place and place is not None
            if here and row.bar:
                points[-1] = point
            elif here and is_training and is_same_point(points[-1], point):
                continue  # said twice, as by two handlers or by several processes
            else:
                points.append(point)
        self._tell_base(row)
        for split, value in row.perplexities:
            loss = math.log(value) if value > 0 and math.isfinite(value) else math.nan
            point = Point(self.rows, place, epoch, loss, row.rate, row.gradient_norm, row.line)
            self.perplexities.setdefault(split, []).append(point)
        return True

    def _is_new(self, key: SeriesKey, value: float) -> bool:
        """Whether a value on a progress bar is a new measure: it differs, or a bar of validation
        ended since."""
        again = same_value(self._last_values.get(key), value)
        if again and self._last_runs.get(key) == self.validation_runs:
            return False
        self._last_values[key], self._last_runs[key] = value, self.validation_runs
        return True

    def _tell_base(self, row: Row) -> None:
        """Whether the perplexity beside a loss is 2 or e to its power."""
        for split, value in row.perplexities:
            for _, other, _, loss in row.losses[:1]:
                if (
                    split == other
                    and value > 1
                    and math.isfinite(value)
                    and loss > MIN_BASE_FRACTION
                ):
                    two = abs(math.log2(value) - loss) < abs(math.log(value) - loss)
                    self.base_two += 1 if two else -1

    def _training_place(self, row: Row, loss: float | None = None) -> float | None:
        """The place of a row with a step; `loss`: where the row itself holds none."""
        assert row.step is not None
        loss = row.training[0] if row.training else loss
        epoch = row.epoch if row.epoch is not None else self._epoch
        counter = self.counters.setdefault(_counter_key(row), Counter())
        place = counter.place(row.step, row.total, epoch, loss)
        if counter.rewound is not None:
            self.rewind(counter.rewound, row.writer)
        if counter.restarted_run:
            self._forget_first_run(row.writer)
        if counter.began_epoch and place is not None:
            self.epoch_starts.append(place)
        return place

    def _from_context(self, row: Row) -> float | None:
        """The place of a heading above, if no row of this kind has taken it."""
        name = "/".join(f"{m.name}{s}" for m, s, _, _ in row.losses)
        context = self._context
        if context is None or self._used.get(name) == self._context_number:
            return None
        self._used[name] = self._context_number
        self._by_context = True
        row.rate = row.rate if row.rate is not None else context.rate
        counter = self.counters.get(_counter_key(context))
        if counter is not None and counter.raw == context.step:
            return counter.last
        return self._training_place(context, row.training[0] if row.training else None)

    def _validation_place(self, row: Row) -> float | None:
        if row.step is None:
            if self._by_context and self._context is not None and self._context.step is not None:
                counter = self.counters.get(_counter_key(self._context))
                if counter is not None:
                    return max(self._context.step + counter.offset, self._place or 0.0)
            return self._end_of_epoch()
        last, now = self._last, self._place
        if last is not None and row.counter != last.counter and row.counter in last.other_counters:
            return now
        main = self.counters.get(_counter_key(row)) or (
            self.counters.get(_counter_key(last)) if last else None
        )
        at = row.step + (main.offset if main is not None else 0.0)
        if now is None or main is None or (row.structured and not main.offset):
            return at
        behind = now - at
        if behind <= 2 * main.interval + 1:
            return at
        return now

    def _end_of_epoch(self) -> float | None:
        """The place of validation that names no step: where training is, or the end of the epoch
        if that comes before another line of training would."""
        last = self._last
        counter = None if last is None else self.counters.get(_counter_key(last))
        if last is None or counter is None or counter.raw is None or last.total is None:
            return self._place
        left = last.total - counter.raw
        return self._place if left >= counter.interval else last.total + counter.offset

    def _other_place(self, row: Row, is_training: bool) -> float | None:
        """The place of a row by its second counter, or of validation by that of training."""
        if is_training and row.other_steps:
            name, value = row.other_steps[0]
            return self._other_counter(row.writer, name).place(value, None, row.epoch, None)
        last = self._last
        if not is_training and last is not None and row.step is not None and last.other_steps:
            name = last.other_steps[0][0]
            if row.counter == name:
                return row.step + self._other_counter(last.writer, name).offset
        return None

    def _other_counter(self, writer: str, name: str) -> Counter:
        return self.other_counters.setdefault(f"{writer} {name}", Counter())

    def rewind(self, place: float | None, writer: str = "") -> None:
        """Forget what `writer` logged after `place`: the run went back there."""
        if place is None:
            return
        for points in self._points_of(writer):
            while points and (points[-1].place or 0.0) > place:
                points.pop()

    def _points_of(self, writer: str) -> list[list[Point]]:
        own = [points for key, points in self.series.items() if key.writer == writer]
        return [*own, *self.perplexities.values(), self.losses_lost]

    def _forget_first_run(self, writer: str) -> None:
        for points in self._points_of(writer):
            points.clear()
        self.epoch_starts.clear()
        self._place = None
        note = "several runs are in this file: only the last one is judged"
        if note not in self.notes:
            self.notes.append(note)

    def thin(self) -> None:
        """Drop every second point of series that have become too long."""
        for points in self.series.values():
            if len(points) > MAX_POINTS:
                del points[1:-1:2]

    def log(self) -> LossLog | None:
        """The curve; None if no loss was read."""
        for points in (*self.series.values(), *self.perplexities.values()):
            points[:] = [p for p in points if p.line is None or p.line.stays]
        for key in [k for k in self.series if k.split == "validation"]:
            self.series[key] = new_measures(self.series[key])
        training = self._best({"train", None})
        validation = with_final(self.series, self._best({"validation"}))
        if training is None and validation is None:
            training = self._only_lost()
        if training is None and validation is None:
            return None
        curve = mark_lost_losses(training, self.losses_lost) if training else validation or []
        in_bits = is_in_bits(self.series, curve)
        has_other_unit = bool(training and validation) and (
            is_in_bits(self.series, validation) != in_bits
        )
        if has_other_unit:
            self._convert_validation(validation or [], in_bits)
        take_finer_steps(curve, validation or [])
        take_bar_steps(curve, validation or [])
        curve = merge_writers(curve)
        unit, places = place_points(curve)
        pairs = [(p, at) for p, at in zip(curve, places, strict=True) if at is not None]
        curve, at = [p for p, _ in pairs], [at for _, at in pairs]
        if training:
            validation_positions = validation_places(unit, curve, at, validation or [])
            entries = join_entries(curve, at, validation or [], validation_positions)
        else:
            entries = join_entries([], [], curve, at)
        objective, evidence = objective_of(self.names, curve)
        return LossLog(
            kind=self._kind(), unit=unit, entries=entries, skipped=self.skipped,
            objective=objective, objective_evidence=evidence,
            adam=self.adam or self.dictionaries > self.rows / 2,
            epoch_starts=self._starts(unit), notes=self.notes,
            bits=self.base_two > 0 or in_bits, has_other_validation_unit=has_other_unit,
            bits_evidence="as their name says" if in_bits else "as their perplexities show",
        )  # fmt: skip

    def _convert_validation(self, validation: list[Point], to_bits: bool) -> None:
        factor = 1 / math.log(2) if to_bits else math.log(2)
        for point in validation:
            point.value *= factor
        self.notes.append(
            "training and validation are logged in different units, one of them in bits for a "
            "character or a byte, so the two are not compared with each other"
        )

    def _kind(self) -> str:
        if self.kind != "console output":
            return self.kind
        if self.progress_lines:
            return "console output, progress lines of Keras"
        if self.objects > self.rows / 2:
            return "JSON lines"
        if self.dictionaries > self.rows / 2:
            return "console output, dictionaries of the Hugging Face Trainer"
        return self.kind

    def _starts(self, unit: LogUnit) -> list[float]:
        return self.epoch_starts if unit == "steps" else []

    def _best(self, splits: set[Split | None]) -> list[Point] | None:
        """Of the series of these splits the one that tells most of the curve, else perplexities."""
        best = best_series(self.series, splits)
        for split in splits if best is None else ():
            if points := self.perplexities.get(split):
                self.notes.append("a loss was reckoned from its perplexity (its logarithm)")
                return points
        return best

    def _only_lost(self) -> list[Point] | None:
        return self.losses_lost or None


def _counter_key(row: Row) -> str:
    return f"{row.writer} {row.counter}"
