"""From the shape of a curve to a verdict: a few rules, the surest first.

Each threshold is named, with its origin. Where several causes leave the same shape the probability
is low and the verdict `unknown`: a curve is a symptom, not a cause.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from descend.loss_logs.curve_features import CurveFeatures
from descend.loss_logs.curve_notes import (
    EXPLODED,
    curve_warnings,
    describe_end,
    describe_place,
    divergence_advice,
    final_loss,
    ruled_out,
)
from descend.loss_logs.curve_origin import (
    FINETUNING_RATE,
    FINETUNING_START,
    SMALL_RATE,
    TINY_RATE,
    has_low_rate,
    is_fragment,
    resembles_finetuning,
    started_trained,
)
from descend.loss_logs.earlier_runs import ends_above_earlier_run, guesses
from descend.loss_logs.epoch_pattern import highest_rise, start_end_lowest
from descend.loss_logs.judgment import EvidenceFacts, LogVerdict, Shape
from descend.loss_logs.log import finite_losses
from descend.loss_logs.loss_explosion import describe_explosion
from descend.loss_logs.noise_rules import hidden_by_noise, max_chance_rise, min_learned_fall
from descend.loss_logs.normality import (
    MIN_FLAT_POINTS,
    PAIR_FRACTION,
    flat_after_fall,
    is_above_frequencies,
    is_by_epoch,
    levels_after_first_epoch,
    levels_at_frequencies,
    memorized_text,
    other_objective,
    rate_out_of_range,
    recurring_pattern,
    summed_losses,
    unchanging_loss,
    unexpected_start,
    validation_stays,
)
from descend.loss_logs.rate_rules import rate_is_spent
from descend.loss_logs.reward_rules import reward_collapsed
from descend.loss_logs.stopped_early import (
    MIN_DOUBLING_FALL_FRACTION,
    has_leveled_off,
    slope_evidence,
    stopped_early,
)
from descend.loss_logs.untrained_rules import untrained
from descend.loss_logs.validation_change import frozen_validation
from descend.loss_logs.validation_rules import (
    LEAK_ADVICE,
    overfitted,
    overfitted_by_shape,
    predicts_validation,
    validation_levels,
)

GONE_BACK = 0.5
"""Fraction of its fall that a training loss must have risen again at the end to have diverged."""
FEW_LOST = 0.05
"""Fraction of losses that may be no numbers where training went on after them."""
WAVE = 0.05
"""Fraction of the loss by which the smoothed curve may rise again on its way down."""
WAVE_NOISE, WAVE_FALL = 8.0, 0.02
"""The rise must also exceed so many standard errors of the smoothed loss, and such a fraction of
the whole fall: on short runs of few entries chance alone makes waves."""
FEW_UPDATES = 100
"""Steps that teach a network nothing to speak of, at any rate."""
JAGGED = 0.15
"""Standard deviation around the running mean over the loss: more than the chance of
which text a batch holds leaves, unless batches are tiny. A first guess."""
OFTEN_SPIKED = 0.005
"""Fraction of the entries that are spikes."""


def apply_curve_rules(shape: Shape) -> LogVerdict:
    """Return the verdict of the first rule that holds, with what the curve rules out."""
    for rule in RULES:
        verdict = rule(shape)
        if verdict is not None:
            out = {c: why for c, why in ruled_out(shape).items() if c != verdict.cause}
            return replace(verdict, ruled_out=out, notes=curve_warnings(shape, verdict))
    verdict = _verdict_without_cause(shape)
    return replace(verdict, ruled_out=ruled_out(shape), notes=curve_warnings(shape, verdict))


def can_be_extrapolated(shape: Shape, verdict: LogVerdict) -> bool:
    """Return whether a power law goes on with the curve: one that diverged, rose on its way down,
    recurs, or memorizes its text follows none, and no loss of text comes to 0. A loss ahead
    that is above one already reached is no forecast."""
    curve = shape.features
    if curve is None or curve.extrapolation is None or shape.log.objective is not None:
        return False
    if shape.log.sums is not None or verdict.is_too_low:
        return False
    is_falling = verdict.cause in ("undertrained", "learning_rate_too_low")
    ahead = curve.extrapolation
    if ahead.loss >= min(curve.end, curve.lowest) or ahead.step <= curve.length:
        return False  # the run itself came lower, or went further
    is_stable = curve.first_nonfinite is None and curve.highest_rise <= _max_normal_rise(curve)
    is_normal = verdict.normal != "no" and verdict.cause is None
    return is_stable and (is_falling or is_normal) and ahead.loss > 0


def _max_normal_rise(curve: CurveFeatures) -> float:
    """Return the rise of the smoothed loss above its lowest value that chance explains."""
    return max(WAVE * curve.end, WAVE_NOISE * curve.noise_of_mean,
               WAVE_FALL * (curve.first - curve.lowest))  # fmt: skip


def _diverged(shape: Shape) -> LogVerdict | None:
    curve = shape.features
    advice = divergence_advice(shape, WAVE)
    if curve is not None and curve.first_nonfinite is not None and _went_on(curve):
        lost = curve.points - curve.finite_points
        return LogVerdict(
            f"{lost} of {curve.points} losses are no numbers, the first at "
            f"{describe_place(curve, curve.first_nonfinite)}, though training went "
            "on after them", "no",
        )  # fmt: skip
    if curve is None or curve.first_nonfinite is not None:
        at = _first_place(shape) if curve is None else curve.first_nonfinite or 0.0
        reason, text = "the loss stops being a number", "from here on the loss is not a number"
        trained = finite_losses(shape.log.entries, "train_loss")
        if curve is not None and any(place > at for place, _ in trained):
            lost = curve.points - curve.finite_points
            reason = text = f"{lost} of {curve.points} losses are no numbers"
        fact: EvidenceFacts = ("first_loss_not_finite", at, shape.log.unit, (None, None), text)
        return LogVerdict(reason, "no", 0.95, "diverged", [fact], {}, advice)
    if curve.gradient_norm_not_finite and curve.end == 0:
        fact = ("loss_at_end", 0.0, "nats", (None, None),
                "exactly 0, beside a gradient that is not a number: a failed run")  # fmt: skip
        return LogVerdict(
            "the gradient stops being a number", "no", 0.9, "diverged", [fact], {}, advice,
        )  # fmt: skip
    if shape.log.objective is not None:
        return None
    return _rose_for_good(shape, curve, advice)


def _rose_for_good(shape: Shape, curve: CurveFeatures, advice: str) -> LogVerdict | None:
    """Return a loss that ends far above where it began or had come down to. Where each epoch has
    the same rise, its mean counts."""
    start, end, lowest = start_end_lowest(shape, curve)
    if end - lowest <= max_chance_rise(shape):
        return None
    if end > EXPLODED * start > 0:
        reason = "the loss ends far above where it began"
        fact = ("rise_over_run", end / start, "times the loss at the start", (None, 1.0), reason)
        return LogVerdict(
            reason + describe_explosion(shape, curve, start), "no", 0.85, "diverged", [fact], {},
            advice,
        )  # fmt: skip
    fall, rise = start - lowest, end - lowest
    is_whole = curve.training_points > 0 and not is_fragment(curve)
    if is_whole and rise > GONE_BACK * fall > WAVE * end:
        fact = ("rise_of_smoothed_loss", rise, "nats", (None, GONE_BACK * fall),
                f"it had come down to {lowest:.2f}")  # fmt: skip
        return LogVerdict(
            f"the loss falls to {lowest:.2f} and ends at {describe_end(curve, end)}", "no",
            0.75, "diverged", [fact], {}, advice,
        )  # fmt: skip
    return None


def _went_on(curve: CurveFeatures) -> bool:
    """Return whether a few losses were no numbers and training went on as before."""
    lost = curve.points - curve.finite_points
    return curve.finite_at_end and lost <= FEW_LOST * curve.points and curve.end < curve.start


def _first_place(shape: Shape) -> float:
    return shape.log.entries[0].position if shape.log.entries else 0.0


def _rate_too_high(shape: Shape) -> LogVerdict | None:
    curve = shape.curve
    min_rise = _max_normal_rise(curve)
    highest = highest_rise(shape, curve)
    waves = highest > min_rise
    # Of a loss near zero any noise is a large share, so the fall counts too.
    jagged = max(JAGGED * curve.end, WAVE_FALL * (curve.first - curve.lowest))
    spiky = curve.spikes > OFTEN_SPIKED * curve.entries and curve.noise > jagged
    if not waves and not spiky:
        return None
    rise: EvidenceFacts = ("rise_of_smoothed_loss", highest, "nats", (None, min_rise),
                           "on its way down the loss rose again")  # fmt: skip
    many: EvidenceFacts = ("spikes", float(curve.spikes), "entries",
                           (None, OFTEN_SPIKED * curve.entries),
                           "single losses far above their neighbors")  # fmt: skip
    facts = [*([rise] if waves else []), *([many] if spiky else []), *_rate_fact(curve)]
    rate = curve.rate_highest
    keys = {} if rate is None else {"learning_rate": float(f"{rate / 3:.2g}")}
    return LogVerdict(
        "the loss rises again on its way down" if waves
        else "single losses lie far above their neighbors again and again", "no",
        0.5 if waves else 0.35, "learning_rate_too_high", facts, keys,
        "lower the rate to a third, warm up, clip gradients at 1.0; if that changes nothing, look "
        "at the order and the kind of the text at the places of the rises",
    )  # fmt: skip


def _stuck(shape: Shape) -> LogVerdict | None:
    curve = shape.curve
    first = max(curve.first, shape.band.start_low or 0.0)
    if first <= 0:
        return LogVerdict(
            f"the first loss is {first:g}: an untrained network cannot predict so well, so "
            "the logged number is no loss, or the gradients were not numbers", "no",
        )  # fmt: skip
    fell = (first - curve.end) / first
    blind = shape.band.unigram is not None and final_loss(curve) >= shape.band.unigram
    min_fall = min_learned_fall(first)
    if fell >= min_fall and not blind:
        return None
    if is_fragment(curve) and not blind:
        return LogVerdict(
            f"the log begins at {describe_place(curve, curve.first_position)}, and "
            "how much the loss fell before is not in it"
        )
    fact: EvidenceFacts = ("fall_over_run", fell, "of the first loss", (min_fall, None),
                           "the loss hardly falls")  # fmt: skip
    reason = "the loss hardly falls" if fell < min_fall else (
        "the loss ends above the unigram baseline"
    )  # fmt: skip
    falling = curve.slope_per_doubling > 2 * curve.slope_std_error
    if not blind and started_trained(curve) and not has_low_rate(curve, TINY_RATE):
        if falling and (is_by_epoch(curve) or curve.rate_highest is not None):
            return None
        return LogVerdict(
            f"it comes down a little from {curve.first:.2f}, and how much came before is not in "
            "the log"
        ) if fell > 0 else _rose(curve, fact)  # fmt: skip
    if curve.unit == "steps" and curve.length < FEW_UPDATES:
        fact = ("steps", curve.length, "steps", (FEW_UPDATES, None), "too few to learn anything")
        return LogVerdict(
            reason, "no", 0.6, "undertrained", [fact], {},
            "train for longer before you change anything else",
        )  # fmt: skip
    if shape.band.start_low is None and fell > 0 and resembles_finetuning(curve):
        return LogVerdict(
            f"a small fall from {curve.first:.2f} at learning rates under {FINETUNING_RATE:g} is "
            "usual for fine-tuning, but too small for a model trained from scratch: give the "
            "vocabulary (--vocab-size) to decide"
        )
    if not has_low_rate(curve, SMALL_RATE) and not falling:
        level = levels_at_frequencies(shape) or levels_after_first_epoch(shape)
        if level is not None:
            return level
        if fell <= 0:
            return _rose(curve, fact)
        return LogVerdict(reason, "no", 0.5, None, [fact])
    return _rate_too_low(curve, reason, fact)


def _rose(curve: CurveFeatures, fact: EvidenceFacts) -> LogVerdict:
    """Return a loss that ends no lower than it began."""
    if curve.end - curve.first <= max(WAVE * curve.first, WAVE_NOISE * curve.noise_of_mean):
        normal = "no" if curve.finite_points >= MIN_FLAT_POINTS else "cannot tell"
        return LogVerdict("the loss does not fall", normal, 0.5, None, [fact])
    return LogVerdict(
        "the loss ends above where it began", "no", 0.45, "learning_rate_too_high",
        [fact, *_rate_fact(curve)], {}, "lower the rate to a tenth, warm up, clip gradients at 1.0",
    )  # fmt: skip


def _rate_too_low(curve: CurveFeatures, reason: str, fact: EvidenceFacts) -> LogVerdict:
    """Return the verdict on a curve whose rate is, or looks, too low."""
    low = has_low_rate(curve, SMALL_RATE)
    advice = (
        "raise the rate threefold, then tenfold, with a short warm-up; if nothing changes, look "
        "for a bug in the program with `descend check`"
    )
    keys = {}
    if curve.rate_highest is not None:
        keys = {"learning_rate": float(f"{curve.rate_highest * 10:.2g}")}
    return LogVerdict(
        reason, "no", 0.6 if low else 0.45, "learning_rate_too_low", [fact, *_rate_fact(curve)],
        keys, advice,
    )  # fmt: skip


def _rate_fact(curve: CurveFeatures) -> list[EvidenceFacts]:
    """Return the highest rate, where the log tells it."""
    rate = curve.rate_highest
    if rate is None:
        return []
    if rate >= SMALL_RATE:
        return [("highest_rate", rate, "", (None, None), "by the log")]
    return [("highest_rate", rate, "", (SMALL_RATE, None), "such rates are for fine-tuning")]


def _too_slow(shape: Shape) -> LogVerdict | None:
    """Return a curve that still falls and has not learned what a run of any use learns."""
    curve = shape.curve
    slope = curve.slope_per_doubling
    if slope < 2 * curve.slope_std_error:
        return None
    fact = slope_evidence(slope, curve)
    is_far = curve.first >= FINETUNING_START and curve.end > PAIR_FRACTION * curve.first
    if is_far and has_low_rate(curve, SMALL_RATE):
        return _rate_too_low(curve, "the loss still falls, slowly, at a rate for fine-tuning", fact)
    if has_low_rate(curve, TINY_RATE):
        return _rate_too_low(curve, "the loss falls slowly, at a tiny rate", fact)
    if shape.band.unigram is not None or not is_above_frequencies(curve):
        return None
    return LogVerdict(
        f"it ends at {curve.end:.2f}, about the loss of a model that knows only token "
        "frequencies: it falls too slowly or for too short a time", "no", 0.4, "undertrained",
        [fact], {}, "train for longer, or raise the learning rate threefold if the run was long",
    )  # fmt: skip


RULES: tuple[Callable[[Shape], LogVerdict | None], ...] = (
    _diverged, predicts_validation, reward_collapsed, untrained, overfitted_by_shape,
    other_objective, rate_out_of_range,
    overfitted, summed_losses, unchanging_loss, rate_is_spent, frozen_validation,
    ends_above_earlier_run, guesses, hidden_by_noise, _stuck, recurring_pattern, _rate_too_high,
    levels_at_frequencies, unexpected_start, validation_stays, validation_levels, flat_after_fall,
    memorized_text, _too_slow, stopped_early,
)  # fmt: skip


def _verdict_without_cause(shape: Shape) -> LogVerdict:
    curve, band = shape.curve, shape.band
    loss = final_loss(curve)
    if band.high is not None and loss > band.high:
        return LogVerdict(
            f"it levels off at {loss:.2f}, above the bigram baseline "
            f"({band.high:.2f})", "no",
        )  # fmt: skip
    if band.low is not None and loss < band.low:
        return LogVerdict(
            f"it ends at {loss:.2f}, below what such a model reaches on new text "
            f"({band.low:.2f}): is it also in the training text?", "no",
            advice=LEAK_ADVICE, is_too_low=True,
        )  # fmt: skip
    if curve.slope_std_error == float("inf"):
        return LogVerdict("there are too few losses in its second half")
    if curve.validation_best is None:
        return LogVerdict(
            "it falls and levels off as training losses do; "
            "without validation losses no more can be said", "yes",
        )  # fmt: skip
    if _decay_hides(curve):
        return LogVerdict(
            "it falls to the end, as it should while the rate decays; "
            "whether more steps would help cannot be determined", "yes",
        )  # fmt: skip
    if not has_leveled_off(shape):
        return LogVerdict(
            "the loss falls, and the validation loss follows; whether it still falls at the end, "
            "so few or noisy losses do not tell", "yes",
        )  # fmt: skip
    sure = 0.6 if band.high is not None else 0.45
    return LogVerdict(
        "the loss falls and levels off, and the validation loss follows", "yes", sure,
        state="healthy",
    )  # fmt: skip


def _decay_hides(curve: CurveFeatures) -> bool:
    """Return whether the fall at the end may be the decay's own, so that it says nothing of more
    steps."""
    falling = curve.slope_per_doubling >= MIN_DOUBLING_FALL_FRACTION * curve.end
    return curve.rate_decayed and curve.steady_slope is None and falling
