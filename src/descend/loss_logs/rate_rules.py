"""What a logged learning rate says that has become practically zero."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from descend.loss_logs.curve_features import SAME_LEVEL, finite_training
from descend.loss_logs.curve_origin import is_fragment
from descend.loss_logs.judgment import EvidenceFacts, LogVerdict, Shape
from descend.loss_logs.log import LogEntry
from descend.loss_logs.normality import MIN_FLAT_POINTS
from descend.loss_logs.positions import format_place

NEXT_TO_NOTHING = 0.01
"""Fraction of its peak under which a rate changes next to nothing. Usual schedules end at a tenth,
or come down to 0 and are under it for the last 6 percent (cosine) or 1 percent (linear)."""
MIN_SPENT_FRACTION = 0.5
"""Fraction of the run at such a rate that no schedule is made for. Steps of a tenth after 30, 60
and 80 of 90 epochs, as for ImageNet, leave 11 percent, and those of Wide ResNet 20."""
MIN_NOTED_FRACTION = 0.25
"""The same, from which it is said beside another verdict."""

STILL = 0.02
"""Fraction of its fall before by which a loss that stands still may fall on: a rate of a hundredth
still brings it a little. A first guess."""


@dataclass(frozen=True)
class SpentRate:
    """The end of a run at a rate that is next to nothing."""

    since: float
    """The place from which on it is."""
    fraction: float
    """Of the run."""
    relative: float
    """The highest rate since then, as a fraction of the peak."""
    is_flat: bool
    """Whether the training loss stands still since then."""


def spent_rate(shape: Shape) -> SpentRate | None:
    """Return the part of the run at its end whose rate is under `NEXT_TO_NOTHING` of the peak;
    None where there is none, or where the digits of the log do not tell."""
    rated = [(e.position, e.learning_rate) for e in shape.log.entries
             if e.learning_rate is not None]  # fmt: skip
    peak = max((rate for _, rate in rated), default=0.0)
    if peak <= 0:
        return None
    # A rate that is printed as 0 may be half a unit of the last digit.
    rounding = 0.5 * min(_last_digit(rate) for _, rate in rated if rate > 0)
    since, highest = None, 0.0
    for place, rate in reversed(rated):
        bound = rate if rate > 0 else rounding
        if bound >= NEXT_TO_NOTHING * peak:
            break
        since, highest = place, max(highest, bound)
    length = rated[-1][0] - rated[0][0]
    if since is None or length <= 0:
        return None
    fraction = (rated[-1][0] - since) / length
    return SpentRate(since, fraction, highest / peak, _is_flat(shape.log.entries, since))


def _last_digit(rate: float) -> float:
    """Return the unit of the last digit that a rate is logged with."""
    exponent = Decimal(repr(rate)).as_tuple().exponent
    return 10.0**exponent if isinstance(exponent, int) else rate


def _is_flat(entries: list[LogEntry], since: float) -> bool:
    """Return whether the training loss does not fall from `since` on, beyond chance and a small
    part of what it fell by before."""
    places, losses = finite_training(entries)
    late = losses[places >= since]
    if len(late) < MIN_FLAT_POINTS:
        return False
    quarter = len(late) // 4
    begin, end = late[:quarter], late[-quarter:]
    error = float(np.hypot(begin.std(), end.std()) / np.sqrt(quarter))
    fell_before = float(losses[0] - begin.mean())
    max_fall = max(SAME_LEVEL * abs(float(end.mean())), 2 * error, STILL * fell_before)
    return float(begin.mean() - end.mean()) <= max_fall


def rate_is_spent(shape: Shape) -> LogVerdict | None:
    """Return a run most of which was trained at next to no rate, so that its loss stands still."""
    spent, curve = spent_rate(shape), shape.curve
    is_flat = spent is not None and spent.is_flat and not is_fragment(curve)
    if spent is None or spent.fraction < MIN_SPENT_FRACTION or not is_flat:
        return None
    place = f"{format_place(spent.since)} {curve.unit}"
    fact: EvidenceFacts = (
        "rate_at_end", spent.relative, "of the peak", (NEXT_TO_NOTHING, None),
        f"from {place} on, {spent.fraction:.0%} of the run",
    )  # fmt: skip
    return LogVerdict(
        f"the learning rate is practically zero from {place} on, and the loss stays at "
        f"{curve.end:.2f} since then: {spent.fraction:.0%} of the run changed next to nothing",
        "no", 0.6, "bad_schedule", [fact], {},
        "let the rate decay later, more slowly, or only to a tenth of its peak, and go on from a "
        f"checkpoint before {place}. If the schedule lowers the rate where the loss stays, the run "
        "could have ended there",
    )  # fmt: skip


def rate_warnings(shape: Shape, verdict: LogVerdict) -> list[str]:
    """Return what the logged rate says where the verdict is on something else."""
    rates = [e.learning_rate for e in shape.log.entries if e.learning_rate is not None]
    if len(rates) >= MIN_FLAT_POINTS and not any(rates):
        return [
            "every logged learning rate is 0: it is logged with too few digits, or nothing is "
            "trained"
        ]
    spent = spent_rate(shape) if verdict.cause != "bad_schedule" else None
    if spent is None or spent.fraction < MIN_NOTED_FRACTION:
        return []
    still = ", and the training loss stands still since then" if spent.is_flat else ""
    return [
        f"the learning rate is under {NEXT_TO_NOTHING:.0%} of its peak from "
        f"{format_place(spent.since)} {shape.curve.unit} on, {spent.fraction:.0%} of the run{still}"
    ]
