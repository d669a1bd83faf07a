"""A run's loss as a chart of a few lines of text, for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from descend.runs.events import Epoch, Event, Rollback, Step

HEIGHT = 6
"""Rows of the plot; its title and its axis are two lines more."""

MAX_WIDTH = 72
"""Columns of the plot and its labels, so that it fits into 80."""

MIN_STEPS = 8
"""Steps of which a curve is drawn: fewer are no curve."""

TRAINING, VALIDATION = "·", "●"
DOTS = "˙·."
"""A point in the upper, middle, and lower third of a row."""


@dataclass(frozen=True)
class LossCurve:
    """The training loss by step, and the validation loss by the last step of each epoch."""

    training: Sequence[tuple[int, float]]
    validation: Sequence[tuple[int, float]]


class LossCurveRecorder:
    """Collects the losses of a run from its events."""

    def __init__(self, epochs: Iterable[Epoch] = ()) -> None:
        """Start with the epochs of earlier sessions."""
        self._training: list[tuple[int, float]] = []
        self._validation = [(e.step, e.validation_loss) for e in epochs]

    def add(self, event: Event) -> None:
        """Note `event`; a rollback removes the steps that it undoes."""
        if isinstance(event, Step):
            self._training.append((event.step, event.loss))
        elif isinstance(event, Epoch):
            self._validation.append((event.step, event.validation_loss))
        elif isinstance(event, Rollback):
            self._training = [p for p in self._training if p[0] <= event.step]
            self._validation = [p for p in self._validation if p[0] <= event.step]

    def curve(self) -> LossCurve:
        """Return the losses so far."""
        return LossCurve(self._training, self._validation)


def loss_curve_from_events(events: Iterable[Event]) -> LossCurve:
    """Return the curve of recorded `events`."""
    recorder = LossCurveRecorder()
    for event in events:
        recorder.add(event)
    return recorder.curve()


def format_loss_curve(curve: LossCurve, columns: int = 80) -> list[str]:
    """Return the lines of the chart; none where there are too few steps to draw.

    Every column is the mean training loss (nats per token) of its steps.
    """
    if len(curve.training) < MIN_STEPS:
        return []
    last = max(step for step, _ in (*curve.training, *curve.validation))
    width = max(min(columns - 1, MAX_WIDTH) - 10, 10)
    training = column_means(curve.training, last, width)
    values = [*training.values(), *(loss for _, loss in curve.validation)]
    high, low = max(values), min(values)
    rows = [[" "] * width for _ in range(HEIGHT)]

    def third_of(loss: float) -> int:
        below_top = (high - loss) / max(high - low, 1e-9)
        return 1 + round(below_top * 3 * (HEIGHT - 1))

    for column, loss in training.items():
        top, third = divmod(third_of(loss), 3)
        rows[top][column] = DOTS[third]
    for step, loss in curve.validation:
        rows[third_of(loss) // 3][_column(step, last, width)] = VALIDATION
    title = f"loss in nats per token ({TRAINING} training"
    title += f"  {VALIDATION} validation)" if curve.validation else ")"
    labels = {0: high, HEIGHT // 2: high - (high - low) * (HEIGHT // 2) / (HEIGHT - 1),
              HEIGHT - 1: low}  # fmt: skip
    lines = [title]
    for number, row in enumerate(rows):
        label = f"{labels[number]:7.2f} ┤" if number in labels else "        │"
        lines.append(f"{label}{''.join(row)}".rstrip())
    end = f"step {last:,}"
    lines.append(f"        └{'0 ':─<{width - len(end) - 1}} {end}")
    return lines


def _column(step: int, last: int, width: int) -> int:
    return min((step - 1) * width // max(last, 1), width - 1)


def column_means(points: Sequence[tuple[int, float]], last: int, width: int) -> dict[int, float]:
    """Return the mean loss of each of `width` columns, up to step `last`, that has a step."""
    columns: dict[int, list[float]] = {}
    for step, loss in points:
        columns.setdefault(_column(step, last, width), []).append(loss)
    return {column: sum(losses) / len(losses) for column, losses in columns.items()}
