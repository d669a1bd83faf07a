"""Where each row of a log stands: by its own counter, a heading above it, or the row before.

Steps that fall back count on (`Counter`). Validation that names no step, or one of its own
batches, takes the place of the line before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from descend.loss_logs.counter import Counter
from descend.loss_logs.log_facts import LogFacts
from descend.loss_logs.log_row import Row
from descend.loss_logs.point_store import PointStore
from descend.loss_logs.several_runs import run_losses, split_runs


@dataclass
class StepRow:
    """The last row that named a step and held no loss."""

    row: Row
    used_for: set[str] = field(default_factory=set)
    """Kinds of rows that have taken its step."""


@dataclass
class RowPlaces:
    """The counters of a log. A run that starts anew or goes back takes its points from `points`."""

    points: PointStore
    facts: LogFacts
    counters: dict[str, Counter] = field(default_factory=dict)
    other_counters: dict[str, Counter] = field(default_factory=dict)
    epoch_starts: list[float] = field(default_factory=list)
    step_row: StepRow | None = None
    uses_step_rows: bool = False
    """Whether a row without a step has taken that of a `step_row`."""
    last: Row | None = None
    """The last row of training that named a step."""
    place: float | None = None
    """Where training stands."""
    epoch: float | None = None
    begins_run: bool = False
    """Whether the last row began another run."""

    def add_step_row(self, row: Row) -> None:
        """Keep a row without a loss for the rows below it."""
        if row.step is not None and not row.bar:
            self.step_row = StepRow(row)

    def place_row(self, row: Row, *, is_training: bool) -> float | None:
        """Return the place of a row with a loss; one of training moves on `place`."""
        self.begins_run = False
        if row.epoch is not None:
            self.epoch = row.epoch
        if not is_training:
            return self._place_validation(row)
        place = self._place_below_step_row(row) if row.step is None else self.place_step(row)
        self._replace_step_row(row)
        if place is not None:
            self.place, self.last = place, self.last if row.step is None else row
        return place

    def place_step(self, row: Row, loss: float | None = None) -> float | None:
        """Return the place of a row with a step; `loss`: where the row itself holds none."""
        assert row.step is not None
        loss = row.training[0] if row.training else loss
        epoch = row.epoch if row.epoch is not None else self.epoch
        counter = self.counters.setdefault(_counter_key(row), Counter())
        place = counter.place(row.step, row.total, epoch, loss)
        if counter.rewound is not None and self.points.rewind(counter.rewound, row.writer):
            self.facts.resumed_at.append(row.step)
        self.begins_run = counter.restarted_run
        if counter.restarted_run:
            runs = split_runs(self.points.training_of(row.writer), self.epoch_starts)
            self.facts.earlier_runs += [run_losses(run) for run in runs if len(run) > 1]
            self.points.clear(row.writer)
            self.epoch_starts.clear()
            self.place = None
        if counter.began_epoch and place is not None:
            self.epoch_starts.append(place)
        return place

    def place_by_other_counter(self, row: Row, *, is_training: bool) -> float | None:
        """Return the place of a row by its second counter, or of validation by that of training."""
        if is_training and row.other_steps:
            name, value = row.other_steps[0]
            return self._other_counter(row.writer, name).place(value, None, row.epoch, None)
        last = self.last
        if not is_training and last is not None and row.step is not None and last.other_steps:
            name = last.other_steps[0][0]
            if row.counter == name:
                return row.step + self._other_counter(last.writer, name).offset
        return None

    def _place_below_step_row(self, row: Row) -> float | None:
        """Return the place of the heading above, if no row of this kind has taken it."""
        name = _kind_of(row)
        step_row = self.step_row
        if step_row is None or name in step_row.used_for:
            return None
        step_row.used_for.add(name)
        self.uses_step_rows = True
        above = step_row.row
        row.rate = row.rate if row.rate is not None else above.rate
        counter = self.counters.get(_counter_key(above))
        if counter is not None and counter.raw == above.step:
            return counter.last
        return self.place_step(above, row.training[0] if row.training else None)

    def _replace_step_row(self, row: Row) -> None:
        """Let a row with a loss and a step of its own be the heading of those below it, where rows
        of its counter are headings: the one above has gone stale."""
        above = self.step_row
        if row.step is None or row.bar or above is None:
            return
        if _counter_key(above.row) == _counter_key(row) and above.row.step != row.step:
            self.step_row = StepRow(row, {_kind_of(row)})

    def _place_validation(self, row: Row) -> float | None:
        if row.step is None:
            if self.uses_step_rows and self.step_row is not None:
                above = self.step_row.row
                counter = self.counters.get(_counter_key(above))
                if counter is not None and above.step is not None:
                    return max(above.step + counter.offset, self.place or 0.0)
            return self._end_of_epoch()
        last, now = self.last, self.place
        if last is not None and row.counter != last.counter and row.counter in last.other_counters:
            return now
        main = self.counters.get(_counter_key(row)) or (
            self.counters.get(_counter_key(last)) if last else None
        )
        at = row.step + (main.offset if main is not None else 0.0)
        if now is None or main is None or (row.structured and not main.offset):
            return at
        behind = now - at
        return at if behind <= 2 * main.interval + 1 else now

    def _end_of_epoch(self) -> float | None:
        """Return the place of validation that names no step: where training is, or the end of the
        epoch if that comes before another line of training would."""
        last = self.last
        counter = None if last is None else self.counters.get(_counter_key(last))
        if last is None or counter is None or counter.raw is None or last.total is None:
            return self.place
        left = last.total - counter.raw
        return self.place if left >= counter.interval else last.total + counter.offset

    def _other_counter(self, writer: str, name: str) -> Counter:
        return self.other_counters.setdefault(f"{writer} {name}", Counter())


def _kind_of(row: Row) -> str:
    return "/".join(f"{m.name}{s}" for m, s, _, _ in row.losses)


def _counter_key(row: Row) -> str:
    return f"{row.writer} {row.counter}"
