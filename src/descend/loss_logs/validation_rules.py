"""What the validation loss beside the training loss says.

It turns upward, it stays while the training loss falls on, or it is lower than any text allows.
"""

from __future__ import annotations

import math
from dataclasses import replace

from descend.loss_logs.curve_notes import (
    MAX_LEAKED_NATS,
    OVERFIT_FRACTION,
    OVERFIT_NATS,
    describe_place,
    format_loss,
    has_far_gap,
)
from descend.loss_logs.curve_shape import is_minimized, overfits
from descend.loss_logs.judgment import EvidenceFacts, LogVerdict, Shape
from descend.loss_logs.log import finite_losses
from descend.loss_logs.normality import describe_kind

TEXT_FROM = 5.5
"""Nats at the start from which a loss is taken for one of text: about ln 257, what guessing among
bytes costs. Made-up tasks that can be predicted whole, such as sums modulo 97, have fewer
symbols."""
MIN_VALIDATIONS = 8
"""Validation losses from which a level of theirs can be detected."""
MAX_LEVEL_FALL = 0.02
"""Fraction of the validation loss that it may still fall by over the second half of a run, and
be called level. A first guess."""
MIN_TRAINING_FALL, MIN_GAP = 0.1, 0.1
"""Fraction of itself that the training loss falls by meanwhile, and of the validation loss that
lies between the two at the end, where the model memorizes. First guesses."""


LEAK_ADVICE = (
    "run `descend check PROGRAM`: it shows a missing causal mask, unshifted targets, and "
    "validation data among the training data. Without the program, search the training text for "
    "passages of the validation text"
)
"""What decides between a program and a text that let a model see what it predicts."""


def overfitted(shape: Shape) -> LogVerdict | None:
    """Return a validation loss that turns upward while the training loss falls on."""
    curve = shape.curve
    if curve.validation_best is None or curve.validation_end is None:
        return None
    rise = curve.validation_end - curve.validation_best
    if rise < max(OVERFIT_NATS, OVERFIT_FRACTION * curve.validation_best):
        return None
    fell = curve.training_after_best
    if fell is not None and fell < 0:
        return None  # both rose: that is no overfitting
    if fell is not None and curve.gap is not None and max(fell, curve.gap) < rise / 2:
        return None  # both go up and down together
    best_place = describe_place(curve, curve.validation_best_at or 0.0)
    facts: list[EvidenceFacts] = [
        ("validation_rise", rise, "nats", (None, OVERFIT_NATS),
         f"validation was lowest at {best_place}"),
    ]  # fmt: skip
    if fell is not None:
        facts.append(("training_fall_after_best", fell, "nats", (None, None),
                      "the training loss fell on meanwhile"))  # fmt: skip
    reason = "the validation loss turns upward while training goes on"
    advice = (
        f"keep the model of {best_place}; to get lower, train on more text, or with dropout, more "
        "weight decay or a smaller model"
    )
    sure = 0.8 if fell is not None and fell > rise / 2 else 0.6
    return LogVerdict(reason, "no", sure, "too_little_data", facts, {}, advice)


def overfitted_by_shape(shape: Shape) -> LogVerdict | None:
    """Return a loss of another kind that is minimized, and plainly overfits: its level cannot be
    judged, and this needs none."""
    curve = shape.curve
    verdict = overfitted(shape) if is_minimized(shape) and overfits(shape) else None
    if shape.log.objective is None or verdict is None:
        return None
    best, end = format_loss(curve.validation_best or 0.0), format_loss(curve.validation_end or 0.0)
    return replace(
        verdict,
        reason=f"it overfits: the validation loss rises from {best} at "
        f"{describe_place(curve, curve.validation_best_at or 0.0)} to {end}, while the training "
        f"loss falls. The level cannot be judged, since this looks like {describe_kind(shape)}",
        evidence=[(name, value, "", usual, text) for name, value, _, usual, text in
                  verdict.evidence],
    )  # fmt: skip


def predicts_validation(shape: Shape) -> LogVerdict | None:
    """Return a validation loss near 0: such a model sees what it predicts."""
    curve = shape.curve
    loss = curve.validation_best
    may_be_text = shape.log.objective in (None, "low from the start")
    if loss is None or not may_be_text or not 0 <= loss <= MAX_LEAKED_NATS:
        return None
    is_text = (
        shape.log.has_perplexity or shape.band.start_high is not None or curve.first >= TEXT_FROM
    )
    why = (
        "sees what it predicts (the causal mask is missing, or the targets are not shifted by "
        "one token), or the validation text is in the training text"
    )
    other = "; otherwise it is another kind of loss"
    low = f"the validation loss comes down to {format_loss(loss)}, a perplexity of "
    low += f"{math.exp(loss):.5g}"
    if is_text:
        reason = f"{low}, and no model predicts unseen text so well: this one {why}"
    else:
        reason = f"{low}: if this is a model of text that predicts the next token, it {why}{other}"
    return LogVerdict(
        reason, "no" if is_text else "cannot tell", advice=LEAK_ADVICE, is_too_low=True
    )


def validation_levels(shape: Shape) -> LogVerdict | None:
    """Return a validation loss that has leveled off while the training loss falls on."""
    curve = shape.curve
    validated = finite_losses(shape.log.entries, "validation_loss")
    if len(validated) < MIN_VALIDATIONS or curve.gap is None or curve.validation_end is None:
        return None
    first, last = validated[0][0], validated[-1][0]
    late = [pair for pair in validated if pair[0] >= (first + last) / 2]
    trained = finite_losses(shape.log.entries, "train_loss")
    beside = [pair for pair in trained if late[0][0] <= pair[0] <= last]
    if min(len(late), len(beside)) < MIN_VALIDATIONS // 2:
        return None
    begin, end = _means_of_ends(late)
    trained_begin, trained_end = _means_of_ends(beside)
    is_level = abs(begin - end) <= MAX_LEVEL_FALL * end
    fall = trained_begin - trained_end
    falls_on = fall >= max(MIN_TRAINING_FALL * trained_begin, 2 * (begin - end))
    if not is_level or not (falls_on or has_far_gap(curve)) or curve.gap < MIN_GAP * end:
        return None
    level = end * (1 + MAX_LEVEL_FALL)
    since = next(place for place, loss in validated if loss <= level)
    facts: list[EvidenceFacts] = [
        ("gap", curve.gap, "nats", (None, MIN_GAP * end),
         f"over the second half the training loss fell by {format_loss(fall)}"),
    ]  # fmt: skip
    return LogVerdict(
        f"it learned until about {describe_place(curve, since)}, and since then the validation "
        f"loss stays near {format_loss(end)} while the training loss comes down to "
        f"{format_loss(curve.end)}: the model memorizes, and training for longer will not help",
        "no" if has_far_gap(curve) else "yes", 0.45, "too_little_data", facts, {},
        "train on more text, or with dropout, more weight decay or a smaller model",
    )  # fmt: skip


def _means_of_ends(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the means of the first and of the last quarter."""
    count = max(1, len(pairs) // 4)
    losses = [loss for _, loss in pairs]
    return sum(losses[:count]) / count, sum(losses[-count:]) / count
