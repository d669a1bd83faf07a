"""What the race says of each remedy: its gain, how sure that is, what it is worth."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from descend.doctor.lanes import Lane, least_worth
from descend.doctor.race import Race, lowest
from descend.signals.curve import Measured, through
from descend.trials.statistics import holm, moderated, paired_interval, spread

PRIOR_SHARE = 0.006
"""Spread of the paired difference between a control and a change that does nothing, as a share of
the loss, before this race has shown its own: a text of 0.3 nat a token (letters, few words) spreads
less in nats than one of 4. Origin: 0.001 to 0.014 on nine of ten corpora of tiny runs
(benchmarks/results/diagnosis), 0.002 on larger ones."""
PRIOR_DF = 4
"""How many degrees of freedom that guess is worth."""

DOUBTED_SHARE = 0.01
"""Of the loss, that a gain must seem to be which may be chance, to keep a run from being called
healthy: what the benchmark's labels count (benchmarks/diagnosis/truth.py)."""
CHANCE = 0.05
"""p-value, corrected for all that was raced, under which a gain is no chance."""
MOST_STEPS = 64
"""Times the steps of the run, up to which the control's curve is followed."""
FLAT = 0.1
"""Of a gain, that the control gains less by twice the steps: it will not come there by steps."""


@dataclass(frozen=True)
class Gain:
    """What a lane gained over the control, in nats per token of the run's own tokenizer."""

    lane: Lane
    control: float
    treated: float
    mean: float
    low: float
    high: float
    error: float
    """Standard error of `mean`."""
    p: float
    seeds: int
    tokens: int
    seconds: float
    cost_factor: float
    carried: float | None = None
    """The gain expected at the end of a run of full length."""
    ends_at: float | None = None
    """Loss of the control at the end of such a run."""
    equal_time: float | None = None
    steps_worth: float | None = None
    """Times the steps with which the control comes as far."""

    @property
    def least(self) -> float:
        """Nats from which this gain is worth a word."""
        return least_worth(self.lane, self._loss)

    @property
    def needed(self) -> float:
        """Nats from which it speaks against a run being healthy."""
        return self.least if self.claimable else max(self.least, DOUBTED_SHARE * self._loss)

    @property
    def _loss(self) -> float:
        """Of the control, at the end of a full run as far as it is known."""
        return self.control if self.ends_at is None else self.ends_at

    @property
    def at_full_length(self) -> float:
        """The gain, as far as it is expected to last to the end of a full run; of what was taken
        away, what the opposite is expected to gain."""
        change = self.lane.change
        gain = self.mean if self.carried is None else min(self.mean, self.carried)
        most = math.inf if change.at_most is None else change.at_most
        least = change.at_least if self.low > 0 else -math.inf
        return max(min(gain * change.opposite, most), least)

    @property
    def error_at_end(self) -> float:
        """Standard error of `at_full_length`; of what lasts only in part, that of the whole."""
        return self.error * self.lane.change.opposite

    @property
    def undecided(self) -> bool:
        """Whether it is as large as would count, and may be chance."""
        return self.at_full_length >= self.least and not self.claimable

    @property
    def worth(self) -> float:
        """Nats, those that were bought with time counted at what they cost."""
        return self.at_full_length * self.lane.value

    @property
    def claimable(self) -> bool:
        """Whether it is no chance, by interval and by Holm, and worth having in full runs too."""
        return self.low > 0 and self.p < CHANCE and self.at_full_length >= self.least


def all_gains(race: Race, own_loss: float | None) -> list[Gain]:
    """A `Gain` for every lane that ran; p-values corrected over all of them by Holm.

    `own_loss`: of the run itself, on the text that trials are judged on; None where the trials do
    not have the run's own settings, or it has no model.
    """
    lanes = [lane for lane in race.lanes() if race.gains(lane)]
    usual = _usual_spread(race, lanes)
    found = [_gain(race, lane, usual) for lane in lanes]
    corrected = holm([g.p for g in found])
    curve = race.known or curve_of(race, own_loss)
    done = [replace(g, p=p) for g, p in zip(found, corrected, strict=True)]
    return [_carried(race, g, curve) for g in done]


def _usual_spread(race: Race, lanes: Sequence[Lane]) -> float:
    """Spread of a paired difference in this race: the lower median over the lanes that ran with
    several seeds, since one that swings by itself says nothing of the others; or the prior."""
    own = [spread(gains) for lane in lanes if len(gains := race.gains(lane)) > 1]
    return max([_prior(race), *([statistics.median_low(own)] if own else [])])


def _prior(race: Race) -> float:
    """Spread (nats) of a paired difference, before any was seen."""
    return PRIOR_SHARE * (race.loss(None, race.seed) or 1.0)


def _gain(race: Race, lane: Lane, spread: float) -> Gain:
    gains = race.gains(lane)
    interval = paired_interval(gains, pooled_sd=spread, pooled_df=PRIOR_DF)
    mean, of_seeds, df = moderated(gains, spread, PRIOR_DF)
    of_text = _text_error(race, lane)
    error = math.hypot(of_seeds, of_text)
    half = math.hypot((interval.high - interval.low) / 2, 1.96 * of_text)
    seeds = [s for s in race.seeds if (lane, s) in race.outcomes and (None, s) in race.outcomes]
    treated = [race.outcomes[lane, s] for s in seeds]
    control = [race.outcomes[None, s] for s in seeds]
    seconds = sum(o.seconds for o in treated)
    control_loss = float(np.mean([lowest(o)[0] for o in control]))
    sign = -1.0 if lane.change.takes_away else 1.0
    return Gain(
        lane=lane,
        control=control_loss,
        treated=control_loss - sign * mean,
        mean=mean,
        low=mean - half,
        high=mean + half,
        error=error,
        p=_of_no_gain(mean, error, df),
        seeds=len(gains),
        tokens=control[0].tokens,
        seconds=seconds + sum(o.seconds for o in control),
        cost_factor=seconds / max(sum(o.seconds for o in control), 1e-9),
    )


def _of_no_gain(mean: float, error: float, df: int) -> float:
    """One-sided p-value: only a remedy that gains is ever claimed, and those that hurt, which most
    do in a race of ten, must not make it harder to believe the one that helps."""
    from scipy.stats import t

    return float(t.sf(mean / error, df)) if error else float(mean <= 0)


def _text_error(race: Race, lane: Lane) -> float:
    """Standard error of the gain from having judged on so much text only, by its blocks (nats)."""
    treated, control = (race.outcomes.get((x, race.seed)) for x in (lane, None))
    if treated is None or control is None:
        return 0.0
    a, b = treated.losses, control.losses
    if not a or not b or len(a) != len(b) or len(a) < 2:
        return 0.0
    if "vocab_size" in lane.change.keys:
        return 0.0  # blocks of another tokenizer are other stretches of text
    differences = np.array(b) - np.array(a)
    return float(differences.std(ddof=1) / math.sqrt(len(differences)))


def curve_of(race: Race, own_loss: float | None) -> Measured | None:
    """Loss of complete runs by length (steps): the control at its lengths, and the user's run."""
    case = race.case
    if race.full or own_loss is None:
        return None
    best = min(case.epochs, key=lambda e: e.validation_loss) if case.epochs else None
    points = race.lengths | {float(best.step if best else len(case.steps)): own_loss}
    return through(points) if len(points) >= 3 else None


def _carried(race: Race, gain: Gain, curve: Measured | None) -> Gain:
    """`gain` with what is expected of it at the run's full length, and at equal time.

    A remedy that reaches in h steps what the control reaches in m h is taken to be worth m times
    the steps at the end as well: L(N) - L(m N) by the control's own curve. What lies beyond all
    that a control reaches which hardly falls any more is expected to last.
    """
    equal = None
    if gain.lane.buys and gain.lane.change.steps == 1.0 and not gain.lane.change.takes_away:
        bought = _bought_by_steps(race, gain.cost_factor, curve)
        equal = None if bought is None else gain.mean - bought
    if curve is None:
        return replace(gain, equal_time=equal)
    h, n = _lengths(race)
    target = gain.control - gain.mean
    most = n / h * MOST_STEPS
    ratios = np.geomspace(1 / 64, most, 400)
    reached = np.array([curve.at(h * m) for m in ratios]) - curve.at(h) + gain.control
    below = np.flatnonzero(reached <= target)
    m = float(ratios[below[0]]) if len(below) else most
    beyond = max(float(reached[-1]) - target, 0.0)
    at_the_end, here = curve.at(n) - curve.at(n * m), curve.at(h) - curve.at(h * m)
    # What no number of steps brings a flat curve to is no head start, and kept whole. Of a
    # steep curve it is not known yet how far it falls: what is beyond it lasts as the rest does.
    flat = curve.at(h) - curve.at(2 * h) < FLAT * gain.mean
    lasting = 1.0 if flat else min(max(at_the_end / here, 0.0), 1.0) if here > 0 else 0.0
    carried, ends_at = at_the_end + beyond * lasting, None
    if race.known is None:  # else it is the curve of other settings than those in place
        ends_at = curve.at(n)
        # At least what it is ahead of the full run already, in a part of its steps.
        carried = max(carried, gain.mean - (curve.at(h) - ends_at))
    return replace(gain, carried=carried, ends_at=ends_at, equal_time=equal, steps_worth=m)


def _lengths(race: Race) -> tuple[float, float]:
    """Of a trial and of a full run, in steps of the curve that gains are carried along."""
    full = race.case.total_steps * race.longer
    return race.head_start * race.steps, race.head_start * full


def _bought_by_steps(race: Race, factor: float, curve: Measured | None) -> float | None:
    """Nats that the control would gain in `factor` times its steps, from the run twice as long, or
    where that was not tried by its curve; None where there is neither."""
    for lane in race.lanes():
        if lane.change.steps == 2.0 and lane.change.keys.keys() <= {"epoch"}:
            doubled = race.gains(lane)
            return float(np.mean(doubled)) * math.log2(max(factor, 1.0)) if doubled else None
    if curve is None:
        return None
    h, _ = _lengths(race)
    return curve.at(h) - curve.at(h * max(factor, 1.0))
