"""The points of a series: which are new, which are no numbers, where each stands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from descend.loss_logs.log import LogEntry, LogUnit
from descend.loss_logs.log_lines import Line
from descend.loss_logs.positions import spread_epochs

NEAR_ZERO = 0.02
"""A loss above it that is followed by exact zeros to the end has not come there by learning."""
STEPS_SHARE = 0.9
"""Of the points of a series that must have a step for its places to be steps."""


@dataclass(slots=True)
class Point:
    """One value of a series. `order`: the how many-th row it is from."""

    order: int
    place: float | None
    epoch: float | None
    value: float
    rate: float | None = None
    gradient_norm: float | None = None
    line: Line | None = None
    other_place: float | None = None
    """The place by another counter of the line, such as micro-batches."""
    beside_training: bool = False
    """Whether it stands in a line with a training loss, and no progress bar is drawn there."""
    is_final: bool = False
    """Whether it is of a closing line that names no step."""
    rate_order: int = 0
    """How many rows there were when its rate was stated: those of a heading are carried on."""
    bars: dict[float, float] | None = None
    """Where the line names no step: how far the progress bars above are, by what they count to."""


def same_value(a: float | None, b: float) -> bool:
    """Return whether both are one number, or no number."""
    return a is not None and (a == b or (math.isnan(a) and math.isnan(b)))


def new_measures(points: list[Point]) -> list[Point]:
    """Return the validation without the values that lines of training only show again."""
    again = [same_value(a.value, b.value) and b.beside_training for a, b in pairwise(points)]
    # Losses that are no numbers are alike however often they are measured.
    of_numbers = [old for old, point in zip(again, points[1:], strict=True)
                  if math.isfinite(point.value)]  # fmt: skip
    if 2 * sum(of_numbers) <= len(of_numbers):
        return points
    return points[:1] + [p for p, old in zip(points[1:], again, strict=True) if not old]


def drop_unset_loss(points: list[Point]) -> list[Point]:
    """Return `points` without a lone zero at the beginning, which a program prints before its
    first loss, as llama.cpp does."""
    is_unset = len(points) > 1 and points[0].value == 0 and points[1].value != 0
    return points[1:] if is_unset else points


def ends_near_zero(validation: list[Point] | None) -> bool:
    """Return whether the last validation loss is near 0, so that a training loss of 0 is one, too:
    the model of a run whose gradients are no numbers has none that is."""
    return validation is not None and bool(validation) and 0 <= validation[-1].value <= NEAR_ZERO


def mark_lost_losses(training: list[Point], lost: list[Point]) -> list[Point]:
    """Return the training loss with what is no number marked as such: lines whose loss has
    disappeared beside a gradient that is none, and a loss that falls to exactly 0."""
    if training is not lost and lost and training:
        end = training[-1].order
        training = training + [p for p in lost if p.order >= end and p is not training[-1]]
    values = [p.value for p in training]
    # A null in the middle of numbers is a gap.
    last = max((i for i, x in enumerate(values) if math.isfinite(x)), default=-1)
    zeros = len(values)
    while zeros and values[zeros - 1] == 0:
        zeros -= 1
    if 0 < zeros < len(values) - 1 and values[zeros - 1] > NEAR_ZERO and last == len(values) - 1:
        for point in training[zeros:]:
            point.value = math.nan
    return training


def place_points(points: list[Point]) -> tuple[LogUnit, list[float | None]]:
    """Return where the points of a series stand, and what that counts."""
    steps = [p.place for p in points]
    if sum(s is not None for s in steps) >= STEPS_SHARE * len(points) and len(set(steps)) > 1:
        return "steps", steps
    epochs = [p.epoch for p in points]
    if all(e is not None for e in epochs):
        spread = spread_epochs([e for e in epochs if e is not None])
        if spread is not None:
            return "epochs", list(spread)
    if len(points) == 1 and steps[0] is not None:
        return "steps", steps
    return "entries", [float(n) for n in range(1, len(points) + 1)]


def take_finer_steps(training: list[Point], validation: list[Point]) -> None:
    """Place losses by the second counter of their lines where the first stands still for several:
    a program that logs each micro-batch counts these, and optimizer steps beside them."""
    steps = [p.place for p in training]
    finer = [p.other_place for p in training if p.other_place is not None]
    if None in steps or len(finer) < len(training):
        return
    if len(set(steps)) >= STEPS_SHARE * len(steps) or any(a >= b for a, b in pairwise(finer)):
        return
    for point in training:
        point.place = point.other_place
    for point in validation:
        point.place = point.other_place  # None: at the training loss before it


def merge_writers(training: list[Point]) -> list[Point]:
    """Return `training` with one point a step, the mean, where several processes log most of the
    steps.

    Points that a slow process adds later are of the step that they name.
    """
    steps = [p.place for p in training]
    if None in steps or 2 * len(set(steps)) > len(steps) + 1:
        return training
    points_by_step: dict[float, list[Point]] = {}
    for point in training:
        assert point.place is not None
        points_by_step.setdefault(point.place, []).append(point)
    merged = []
    for points in points_by_step.values():
        points[0].value = sum(p.value for p in points) / len(points)
        merged.append(points[0])
    return merged


def take_bar_steps(training: list[Point], validation: list[Point]) -> None:
    """Place losses whose lines name no step by the progress bar above; validation then stands at
    the training loss before it."""
    with_step = sum(p.place is not None for p in training)
    if with_step >= STEPS_SHARE * len(training):
        return
    steps = bar_steps(training)
    if steps is None:
        return
    for point, step in zip(training, steps, strict=True):
        point.place = step
    for point in validation:
        point.place = None


def bar_steps(points: list[Point]) -> list[float] | None:
    """Return steps by the progress bar above each line, which is the bar that counts on from line
    to line the most; None if none does."""
    if not points or any(p.bars is None for p in points):
        return None
    counts = {
        total: [p.bars[total] for p in points if p.bars is not None]
        for total in (points[0].bars or {})
        if all(p.bars is not None and total in p.bars for p in points)
    }
    rising = [c for c in counts.values() if all(a <= b for a, b in pairwise(c))]
    steps = max(rising, key=lambda c: len(set(c)), default=[])
    return steps if len(points) > 1 and len(set(steps)) >= STEPS_SHARE * len(points) else None


def join_entries(
    training: list[Point], places: list[float], validation: list[Point], at: list[float]
) -> list[LogEntry]:
    """Entries in order of place; validation joins the training loss of its place."""
    points_by_position: dict[float, list[Point]] = {}
    for point, place in zip(validation, at, strict=True):
        points_by_position.setdefault(place, []).append(point)
    entries: list[LogEntry] = []
    for index, (point, place) in enumerate(zip(training, places, strict=True)):
        last = index + 1 == len(training) or places[index + 1] != place
        joined = points_by_position.pop(place, None) if last else None
        if joined and len(joined) > 1 and joined[-1].is_final:
            entries.append(LogEntry(position=place, validation_loss=joined[-2].value))
        entries.append(
            LogEntry(
                position=place,
                train_loss=point.value,
                validation_loss=joined[-1].value if joined else None,
                learning_rate=point.rate,
                gradient_norm=point.gradient_norm,
            )
        )
    entries += [
        LogEntry(position=place, validation_loss=points[-1].value, learning_rate=points[-1].rate)
        for place, points in points_by_position.items()
    ]
    return sorted(entries, key=lambda e: e.position)


def validation_places(
    unit: LogUnit, training: list[Point], places: list[float], validation: list[Point]
) -> list[float]:
    """Return where validation stands: at its own step or epoch, else at the training loss
    before."""
    positions: list[float] = []
    index = 0
    for point in validation:
        while index < len(training) and training[index].order <= point.order:
            index += 1
        before = places[index - 1] if index else (places[0] if unit != "steps" else 0.0)
        at = point.place if unit == "steps" else point.epoch if unit == "epochs" else None
        if unit == "epochs" and at is not None and at < before < at + 1:
            at = before
        positions.append(before if at is None else at)
    return positions
