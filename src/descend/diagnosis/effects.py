"""What the trial series says of each treatment: its gain, how sure that is, what it is worth."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from descend.diagnosis.treatments import Treatment, min_effect_nats
from descend.diagnosis.trial_series import (
    TrialSeries,
    best_validation_point,
    control_loss_by_steps,
    full_length_treatment,
    leads_by_pairs,
    list_treatments,
    paired_reductions,
    trial_loss,
)
from descend.metrics.power_law import InterpolatedCurve, interpolate_curve
from descend.trials.paired_stats import (
    ALPHA,
    holm_adjust,
    moderated_t,
    one_sided_p_value,
    paired_interval,
    sample_std,
)

PRIOR_FRACTION = 0.006
"""Spread of the paired difference between a control and a change that does nothing, as a fraction
of the loss, before this trial series has shown its own: a text of 0.3 nat a token (letters, few
words) spreads less in nats than one of 4. Origin: 0.001 to 0.014 on nine of ten corpora of tiny
runs (benchmarks/results/diagnosis), 0.002 on larger ones."""
PRIOR_DF = 4
"""How many degrees of freedom that guess is worth."""

MIN_RELATIVE_EFFECT_AGAINST_HEALTHY = 0.01
"""Of the loss, that a gain must seem to be which may be chance, to keep a run from being called
healthy: what the benchmark's labels count (benchmarks/diagnosis/truth.py)."""
MAX_STEPS = 64
"""Times the steps of the run, up to which the control's curve is followed."""
MIN_LASTING_FRACTION = 0.5
"""Of what was expected at full length, that must have remained there for the others to be named
without such a trial; first guess."""
EXTRAPOLATION_ERROR = 0.5
"""Of what others lost of their effect at full length, by which one may lose more or less than they
(one standard error); first guess."""
FLAT = 0.1
"""Of a gain, that the control gains less by twice the steps: it will not come there by steps."""


@dataclass(frozen=True)
class TreatmentEffect:
    """What a treatment gained over the control, in nats per token of the run's own tokenizer."""

    treatment: Treatment
    control_loss: float
    treatment_loss: float
    mean_reduction: float
    low: float
    high: float
    std_error: float
    """Standard error of `mean`."""
    p_holm: float
    seeds: int
    tokens: int
    seconds: float
    cost_factor: float
    extrapolated_reduction: float | None = None
    """The gain expected at the end of a run of full length."""
    measured_full_length_reduction: float | None = None
    """The gain in a run of full length over the run examined, where that was tried."""
    is_doubtful: bool = False
    """Whether little of what was expected of others remained at full length, or a larger
    vocabulary leads before pairs of tokens are learned."""
    extrapolation_error: float = 0.0
    """Standard error of what is expected at full length, where that of others was measured."""
    full_run_control_loss: float | None = None
    """Loss of the control at the end of such a run."""
    reduction_at_equal_time: float | None = None
    equivalent_step_factor: float | None = None
    """Times the steps with which the control comes as far."""

    @property
    def min_effect(self) -> float:
        """Nats from which this gain is worth a word."""
        return min_effect_nats(self.treatment, self._loss)

    @property
    def min_effect_against_healthy(self) -> float:
        """Nats from which it speaks against a run being healthy."""
        return (
            self.min_effect
            if self.is_significant
            else max(self.min_effect, MIN_RELATIVE_EFFECT_AGAINST_HEALTHY * self._loss)
        )

    @property
    def _loss(self) -> float:
        """Of the control, at the end of a full run as far as it is known."""
        return (
            self.control_loss if self.full_run_control_loss is None else self.full_run_control_loss
        )

    @property
    def expected_reduction(self) -> float:
        """The smaller of the gain in the trial and of that expected at full length."""
        if self.extrapolated_reduction is None:
            return self.mean_reduction
        return min(self.mean_reduction, self.extrapolated_reduction)

    @property
    def full_length_reduction(self) -> float:
        """The gain, as far as it is expected to last to the end of a full run; of what was taken
        away, what the opposite is expected to gain."""
        change = self.treatment.change
        measured = self.measured_full_length_reduction
        reduction = (
            self.expected_reduction if measured is None else min(self.mean_reduction, measured)
        )
        max_reduction = (
            math.inf if change.max_inverse_effect_nats is None else change.max_inverse_effect_nats
        )
        min_reduction = change.min_inverse_effect_nats if self.low > 0 else -math.inf
        return max(min(reduction * change.inverse_effect_fraction, max_reduction), min_reduction)

    @property
    def error_at_end(self) -> float:
        """Standard error of `full_length_reduction`; of what lasts only in part, that of the
        whole."""
        fraction = self.treatment.change.inverse_effect_fraction
        return math.hypot(self.std_error * fraction, self.extrapolation_error)

    @property
    def is_inconclusive(self) -> bool:
        """Whether it is as large as would count, and may be chance; of text that was not read
        once, whether it may be as large."""
        return not self.is_significant and (
            self.full_length_reduction >= self.min_effect or self.may_gain_from_unread_text
        )

    @property
    def may_gain_from_unread_text(self) -> bool:
        """Whether the change reads text that the run did not, and its trial cannot exclude that the
        rest of it lowers the loss as much as counts."""
        high = self.full_length_reduction + self.high - self.mean_reduction
        return self.treatment.change.whole_epoch_steps is not None and high >= self.min_effect

    @property
    def cost_adjusted_reduction(self) -> float:
        """Nats, those that were bought with time counted at what they cost."""
        return self.full_length_reduction * self.treatment.cost_weight

    @property
    def is_significant(self) -> bool:
        """Whether it is no chance, by interval and by Holm, and worth having in full runs too."""
        lasts = self.full_length_reduction >= self.min_effect
        if self.measured_full_length_reduction is not None:  # by one pair of runs
            lasts &= self.full_length_reduction >= 2 * PRIOR_FRACTION * self._loss
        return self.low > 0 and self.p_holm < ALPHA and lasts and not self.is_doubtful


def estimate_effects(series: TrialSeries, own_loss: float | None) -> list[TreatmentEffect]:
    """Return a `TreatmentEffect` for every treatment that ran; p-values corrected over all of them
    by Holm.

    `own_loss`: of the run itself, on the text that trials are judged on; None where the trials do
    not have the run's own settings, or it has no model.
    """
    treatments = [
        treatment for treatment in list_treatments(series) if paired_reductions(series, treatment)
    ]
    usual = _pooled_std(series, treatments)
    effects = [_estimate_effect(series, treatment, usual) for treatment in treatments]
    corrected = holm_adjust([g.p_holm for g in effects])
    curve = series.known_curve or control_curve(series, own_loss)
    done = [replace(g, p_holm=p) for g, p in zip(effects, corrected, strict=True)]
    extrapolated = [_extrapolate_effect(series, g, curve) for g in done]
    known = [_measure_at_full_length(series, g, own_loss) for g in extrapolated]
    lasting = lasting_fraction(series, known)
    return [
        g
        if g.measured_full_length_reduction is not None or g.treatment.change.is_ablation
        else _discount(series, g, lasting)
        for g in known
    ]


def _discount(series: TrialSeries, effect: TreatmentEffect, lasting: float) -> TreatmentEffect:
    """Return `effect` with the part of it that is expected to last, by what others lost at full
    length."""
    effect = replace(effect, is_doubtful=leads_by_pairs(series, effect.treatment))
    if lasting == 1.0:
        return effect
    return replace(
        effect,
        extrapolated_reduction=lasting * effect.expected_reduction,
        extrapolation_error=EXTRAPOLATION_ERROR
        * (1 - lasting)
        * max(effect.expected_reduction, 0.0),
        is_doubtful=effect.is_doubtful or lasting < MIN_LASTING_FRACTION,
    )


def _pooled_std(series: TrialSeries, treatments: Sequence[Treatment]) -> float:
    """Return the spread of a paired difference in this trial series: the lower median over the
    treatments that ran with several seeds, since one that swings by itself says nothing of the
    others; or the prior."""
    own = [
        sample_std(reductions)
        for treatment in treatments
        if len(reductions := paired_reductions(series, treatment)) > 1
    ]
    return max([_prior(series), *([statistics.median_low(own)] if own else [])])


def _prior(series: TrialSeries) -> float:
    """Return the spread (nats) of a paired difference, before any was seen."""
    return PRIOR_FRACTION * (trial_loss(series, None, series.seed) or 1.0)


def _estimate_effect(series: TrialSeries, treatment: Treatment, spread: float) -> TreatmentEffect:
    reductions = paired_reductions(series, treatment)
    interval = paired_interval(reductions, pooled_sd=spread, pooled_df=PRIOR_DF)
    mean, of_seeds, df = moderated_t(reductions, spread, PRIOR_DF)
    of_text = _text_error(series, treatment)
    error = math.hypot(of_seeds, of_text)
    half = math.hypot((interval.high - interval.low) / 2, 1.96 * of_text)
    seeds = [
        s for s in series.seeds if (treatment, s) in series.results and (None, s) in series.results
    ]
    treatment_results = [series.results[treatment, s] for s in seeds]
    control = [series.results[None, s] for s in seeds]
    seconds = sum(o.seconds for o in treatment_results)
    control_loss = float(np.mean([best_validation_point(o)[0] for o in control]))
    sign = -1.0 if treatment.change.is_ablation else 1.0
    return TreatmentEffect(
        treatment=treatment,
        control_loss=control_loss,
        treatment_loss=control_loss - sign * mean,
        mean_reduction=mean,
        low=mean - half,
        high=mean + half,
        std_error=error,
        p_holm=one_sided_p_value(mean, error, df),
        seeds=len(reductions),
        tokens=control[0].tokens,
        seconds=seconds + sum(o.seconds for o in control),
        cost_factor=seconds / max(sum(o.seconds for o in control), 1e-9),
    )


def _text_error(series: TrialSeries, treatment: Treatment) -> float:
    """Return the standard error of the gain from having judged on so much text only, by its blocks
    (nats)."""
    treatment_result, control = (series.results.get((x, series.seed)) for x in (treatment, None))
    if treatment_result is None or control is None:
        return 0.0
    a, b = treatment_result.chunk_losses, control.chunk_losses
    if not a or not b or len(a) != len(b) or len(a) < 2:
        return 0.0
    if "vocab_size" in treatment.change.keys:
        return 0.0  # blocks of another tokenizer are other segments of text
    differences = np.array(b) - np.array(a)
    return float(differences.std(ddof=1) / math.sqrt(len(differences)))


def control_curve(series: TrialSeries, own_loss: float | None) -> InterpolatedCurve | None:
    """Return the loss of complete runs by length (steps): the control at its lengths, and the
    user's run."""
    recorded_run = series.recorded_run
    if series.is_full_length or own_loss is None:
        return None
    best = (
        min(recorded_run.epochs, key=lambda e: e.validation_loss) if recorded_run.epochs else None
    )
    points = control_loss_by_steps(series) | {
        float(best.step if best else len(recorded_run.steps)): own_loss
    }
    return interpolate_curve(points) if len(points) >= 3 else None


def _extrapolate_effect(
    series: TrialSeries, effect: TreatmentEffect, curve: InterpolatedCurve | None
) -> TreatmentEffect:
    """Return `gain` with what is expected of it at the run's full length, and at equal time.

    A treatment that reaches in h steps what the control reaches in m h is taken to be worth m times
    the steps at the end as well: L(N) - L(m N) by the control's own curve. What lies beyond all
    that a control reaches which hardly falls any more is expected to last.
    """
    equal = None
    if (
        effect.treatment.is_costly
        and effect.treatment.change.steps == 1.0
        and not effect.treatment.change.is_ablation
    ):
        extra_steps_reduction = _reduction_from_steps(series, effect.cost_factor, curve)
        equal = (
            None if extra_steps_reduction is None else effect.mean_reduction - extra_steps_reduction
        )
    if curve is None:
        return replace(effect, reduction_at_equal_time=equal)
    h, n = _lengths(series)
    target = effect.control_loss - effect.mean_reduction
    max_ratio = n / h * MAX_STEPS
    ratios = np.geomspace(1 / 64, max_ratio, 400)
    reached = np.array([curve.at(h * m) for m in ratios]) - curve.at(h) + effect.control_loss
    below = np.flatnonzero(reached <= target)
    m = float(ratios[below[0]]) if len(below) else max_ratio
    beyond = max(float(reached[-1]) - target, 0.0)
    at_the_end, here = curve.at(n) - curve.at(n * m), curve.at(h) - curve.at(h * m)
    # What no number of steps brings a flat curve to is no head start, and kept whole. Of a
    # steep curve it is not known yet how far it falls: what is beyond it lasts as the rest does.
    flat = curve.at(h) - curve.at(2 * h) < FLAT * effect.mean_reduction
    lasting = 1.0 if flat else min(max(at_the_end / here, 0.0), 1.0) if here > 0 else 0.0
    carried, ends_at = at_the_end + beyond * lasting, None
    if series.known_curve is None:  # else it is the curve of other settings than those in place
        ends_at = curve.at(n)
        # At least what it is ahead of the full run already, in a part of its steps.
        carried = max(carried, effect.mean_reduction - (curve.at(h) - ends_at))
    return replace(
        effect,
        extrapolated_reduction=carried,
        full_run_control_loss=ends_at,
        reduction_at_equal_time=equal,
        equivalent_step_factor=m,
    )


def lasting_fraction(series: TrialSeries, effects: Sequence[TreatmentEffect]) -> float:
    """Return how much of what was expected at full length the treatments reached that ran so long;
    that of the series below where none did.

    A text on which one head start is lost gives no credit to the others: on five texts of 120 to
    300 kB, of the changes that led after a tenth of a run 0 to 16 % of the lead was left, and one
    of them that was ahead by 0.16 nats ended 0.30 nats behind.
    """
    measured = expected = 0.0
    for effect in effects:
        at_end = effect.measured_full_length_reduction
        if at_end is not None and effect.expected_reduction > 0:
            measured, expected = measured + at_end, expected + effect.expected_reduction
    return min(max(measured / expected, 0.0), 1.0) if expected else series.lasting_fraction


def _measure_at_full_length(
    series: TrialSeries, effect: TreatmentEffect, own_loss: float | None
) -> TreatmentEffect:
    """Return `effect` with what it is at full length, where the treatment ran so long."""
    loss = trial_loss(series, full_length_treatment(series, effect.treatment), series.seed)
    if loss is None or own_loss is None or effect.treatment.change.is_ablation:
        return effect
    return replace(effect, measured_full_length_reduction=own_loss - loss)


def _lengths(series: TrialSeries) -> tuple[float, float]:
    """Of a trial and of a full run, in steps of the curve that gains are carried along."""
    full = series.recorded_run.total_steps * series.full_length_factor
    return series.head_start * series.steps, series.head_start * full


def _reduction_from_steps(
    series: TrialSeries, factor: float, curve: InterpolatedCurve | None
) -> float | None:
    """Return nats that the control would gain in `factor` times its steps, from the run twice as
    long, or where that was not tried by its curve; None where there is neither."""
    for treatment in list_treatments(series):
        if treatment.change.steps == 2.0 and treatment.change.keys.keys() <= {"epoch"}:
            doubled = paired_reductions(series, treatment)
            return float(np.mean(doubled)) * math.log2(max(factor, 1.0)) if doubled else None
    if curve is None:
        return None
    h, _ = _lengths(series)
    return curve.at(h) - curve.at(h * max(factor, 1.0))
