"""What a curve speaks against, and what is said beside a verdict."""

from __future__ import annotations

from descend.loss_logs.curve_features import CurveFeatures, averaged
from descend.loss_logs.epoch_pattern import recurs_each_epoch
from descend.loss_logs.judgment import LogVerdict, Shape
from descend.loss_logs.log import finite_losses
from descend.loss_logs.normality import (
    ADAM_HIGHEST,
    FAR,
    NEAR_START,
    from_the_start,
    is_flat,
    memorized_text,
)
from descend.loss_logs.positions import format_place
from descend.loss_logs.rate_rules import rate_warnings

EXPLODED = 1.5
"""Loss at the end over the loss at the start from which training has exploded, not just stalled."""
IN_A_ROW = 3
"""Losses in a row that are higher where the loss has risen: a single one is a hard batch."""
MIN_TRAINED = 5
"""Losses before one that is no number from which there is something to go back to."""
RISE_NOISE = 3.0
"""Standard errors of the smoothed loss that a rise before a loss of no number must exceed."""
TO_THE_END = 0.9
"""Fraction of the run up to which validation must reach to say anything of its end."""
BELOW_TRAINING = 0.1
"""Nats that validation lies under training without a word: dropout and averages that lag do so."""
FLAT = 0.01
"""The same, below which it has levelled off."""
OVERFIT_NATS = 0.05
OVERFIT_FRACTION = 0.01
"""Rise of the validation loss above its lowest that counts: several times the spread between
evaluations of a small run (0.006 nat on three seeds of tiny Shakespeare), and one in a hundred."""
MIN_FAR_GAP_NATS, FAR_BELOW = 0.3, 0.5
"""Nats, and fraction of the validation loss, by which the training loss lies below it where the
training text is memorized. First guesses."""
MAX_LEAKED_NATS = 0.05
"""Nats of a validation loss (a perplexity of 1.05) that no model of text comes down to without
seeing what it predicts: the best models of English need ten times as much a character."""
MIN_TWO_DIGITS = 0.05
"""Loss under which two digits behind the point hide how small it is."""


SINGULAR = {"steps": "step", "epochs": "epoch", "entries": "entry"}
"""What one place is called."""


def ruled_out(shape: Shape) -> dict[str, str]:
    """Return causes that the curve speaks against, and the number that does."""
    curve = shape.features
    if curve is None or curve.first_nonfinite is not None or shape.log.objective is not None:
        return {}
    out = {}
    if curve.end <= EXPLODED * curve.start and not curve.gradient_norm_not_finite:
        far = "far above" if curve.end > curve.start else "above"
        last, first = "the last", "the first"
        if averaged(curve.finite_points) > 1:
            last, first = "the mean of the last twentieth", "that of the first"
        out["diverged"] = (
            f"all {curve.entries} losses are numbers, and {last} ({format_loss(curve.end)}) is not "
            f"{far} {first} ({format_loss(curve.start)})"
        )
    best = curve.validation_best
    if best is not None and best > MAX_LEAKED_NATS and curve.validation_end is not None:
        rise = curve.validation_end - best
        to_the_end = curve.validation_last_at >= TO_THE_END * curve.length
        is_flat_end = rise < OVERFIT_NATS and curve.validation_points > 2 and to_the_end
        if is_flat_end and not has_far_gap(curve):
            out["too_little_data"] = f"the validation loss ends only {rise:.2f} above its minimum"
    slope, error = curve.slope_per_doubling, curve.slope_std_error
    # A rate that has decayed leaves a flat end whatever more steps would bring.
    if slope + 2 * error < FLAT * curve.end and not curve.rate_decayed and not is_flat(curve):
        verb = "rises" if slope < 0 else "falls"
        out["undertrained"] = f"in its second half it {verb} by {abs(slope):.3f} nats per doubling"
    guess = shape.band.start_high
    untrained = curve.unit == "steps" and curve.first_position <= NEAR_START
    if guess is not None and untrained and curve.first <= guess:
        out["bad_initialization"] = (
            f"the first loss, {curve.first:.2f}, is not above the range of an untrained network "
            f"(up to {guess:.2f})"
        )
    high, validated = shape.band.high, curve.validation_end is not None
    if high is not None and validated and final_loss(curve) < high:
        out["context_unused"] = (
            f"it ends at {final_loss(curve):.2f}, below the bigram baseline ({shape.band.high:.2f})"
        )
    return out


def curve_warnings(shape: Shape, verdict: LogVerdict) -> list[str]:
    """Return what is said beside the verdict; of a run that diverged, nothing on leaks."""
    curve, band = shape.features, shape.band
    has_diverged = verdict.cause == "diverged"
    if curve is None:
        return []
    warnings = []
    if band.start_high is not None and curve.first > band.start_high and from_the_start(curve):
        warnings.append(
            f"the first loss is {curve.first:.2f}, above the range of an untrained network "
            f"(up to {band.start_high:.2f}): initial weights or logits are too large, or "
            "losses are summed and not averaged"
        )
    # A training loss that rose again by as much explains the gap, and so does one that diverged.
    if not has_diverged and curve.gap is not None and (
        -curve.gap > max(BELOW_TRAINING, curve.highest_rise)
    ):  # fmt: skip
        warnings.append(
            f"the validation loss is {-curve.gap:.2f} below the training loss: usual with dropout "
            "and lagging averages, else a sign that validation text occurs in the training text"
        )
    warnings += _memorization_warnings(shape, verdict)
    rate = curve.rate_highest
    if rate is not None and rate > FAR * ADAM_HIGHEST and not shape.log.adam:
        warnings.append(
            f"the highest logged rate is {rate:g}: SGD may be used at that, AdamW is used up to "
            f"{ADAM_HIGHEST:g}"
        )
    warnings += rate_warnings(shape, verdict)
    if recurs_each_epoch(shape):
        warnings.append(
            "the same rise and fall recurs each epoch: the text is probably read in the same order "
            "each time, as networks that carry a state from batch to batch need, or the losses are "
            "means that begin anew each epoch"
        )
    if curve.spikes:
        warnings.append(f"{curve.spikes} of {curve.entries} losses lie far above their neighbors")
    return warnings


def _memorization_warnings(shape: Shape, verdict: LogVerdict) -> list[str]:
    """Return that the training text is memorized, where the verdict is on something else."""
    curve = shape.curve
    is_named = verdict.cause in ("diverged", "too_little_data") or "memoriz" in verdict.reason
    if is_named or shape.log.objective is not None or shape.log.sums is not None:
        return []
    if curve.validation_best is not None and curve.validation_best <= MAX_LEAKED_NATS:
        return []
    if memorized_text(shape) is not None:
        return [
            f"the training loss ends at {format_loss(curve.end)}, as for memorized text: only "
            "validation losses up to the end can tell whether other text is predicted, too"
        ]
    if not has_far_gap(curve) or curve.validation_end is None:
        return []
    return [
        f"the training loss ({format_loss(curve.end)}) is far below the validation loss "
        f"({format_loss(curve.validation_end)}): the model memorizes its training text"
    ]


def has_far_gap(curve: CurveFeatures) -> bool:
    """Return whether the training loss lies so far below the validation loss that the training
    text is memorized."""
    if curve.gap is None or curve.validation_end is None or not curve.training_points:
        return False
    return curve.gap >= max(MIN_FAR_GAP_NATS, FAR_BELOW * curve.validation_end)


def format_loss(loss: float) -> str:
    """Return a loss with two digits behind the point, or as many as show that it is not 0."""
    return f"{loss:.2f}" if loss == 0 or abs(loss) >= MIN_TWO_DIGITS else f"{loss:.2g}"


def divergence_advice(shape: Shape, wave: float) -> str:
    """Return what to do after a divergence, with the place from which the loss went wrong.

    `wave`: the rise, as a fraction of the lowest loss, from which the loss has risen.
    """
    advice = "lower the learning rate to a third, clip gradients at 1.0, or warm up for longer"
    curve = shape.features
    if curve is None:
        return f"{advice}; train from the start"
    lost = curve.first_nonfinite
    if lost is not None:
        advice += ", and compute in bfloat16 or float32 where float16 overflows"
    if lost is not None and not has_risen(curve, wave):
        only_begun = curve.finite_points < MIN_TRAINED and curve.lowest_at <= curve.first_position
        if lost <= curve.first_position or only_begun:
            return f"{advice}; train from the start"
        place = describe_place(curve, lost)
        return f"{advice}; go on from a checkpoint before {place}, where it stops being a number"
    if curve.lowest_at <= curve.first_position:
        return f"{advice}; train from the start"
    place = describe_place(curve, _last_before_rise(shape))
    if curve.end - curve.lowest > wave * curve.lowest:
        return f"{advice}; go on from a checkpoint up to {place}, after which the loss rose"
    return f"{advice}; go on from a checkpoint up to {place}"


def has_risen(curve: CurveFeatures, wave: float) -> bool:
    """Return whether the losses that are numbers end above what the run had learned, by more than
    chance. One that has learned little drifts: there nothing is lost unless it ends far up."""
    fall, rise = curve.start - curve.lowest, curve.end - curve.lowest
    if rise <= max(wave * curve.lowest, RISE_NOISE * curve.noise_of_mean):
        return False
    return fall > wave * curve.lowest or curve.end > EXPLODED * curve.start


def _last_before_rise(shape: Shape) -> float:
    """Return the last place before the loss rose above what it was where the smoothed loss was
    lowest: the mean of many losses turns upward long before a sudden rise at the end."""
    curve = shape.curve
    losses = finite_losses(shape.log.entries, "train_loss")
    places = [at for at, _ in losses]
    if curve.lowest_at not in places:
        return curve.lowest_at
    lowest = places.index(curve.lowest_at)
    near = averaged(len(losses))
    level = max(loss for _, loss in losses[max(0, lowest - near) : lowest + 1])
    for n in range(lowest + 1, len(losses)):
        if all(loss > level for _, loss in losses[n : n + IN_A_ROW]):
            return places[n - 1]
    return curve.lowest_at


def describe_end(curve: CurveFeatures, end: float) -> str:
    """Return the mean loss at the end in words, behind the last loss where that is far above."""
    if curve.last <= EXPLODED * end:
        return f"{end:.2f}"
    return f"{curve.last:.2f} (mean of the last twentieth: {end:.2f})"


def describe_place(curve: CurveFeatures, place: float) -> str:
    """Return a place in words, such as `step 1,000`."""
    return f"{SINGULAR[curve.unit]} {format_place(place)}"


def final_loss(curve: CurveFeatures) -> float:
    """Return the validation loss where there is one in the unit of the training loss."""
    is_usable = curve.validation_end is not None and not curve.has_other_validation_unit
    return curve.validation_end if is_usable and curve.validation_end is not None else curve.end
