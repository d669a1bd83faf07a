"""What keeps a curve from being called normal, though it falls.

A curve is normal only where nothing in the log speaks against it: another kind of loss, a rate far
outside what its optimizer is used at, a first loss that no guess costs, a pattern that recurs, a
segment so flat that a model which learned nothing but frequencies would leave it too.
"""

from __future__ import annotations

import math

from descend.loss_logs.curve_features import CurveFeatures, averaged
from descend.loss_logs.curve_shape import describe_shape
from descend.loss_logs.earlier_runs import describe_guess
from descend.loss_logs.epoch_pattern import recurs_each_epoch
from descend.loss_logs.expected_loss import MAX_VOCABULARY
from descend.loss_logs.judgment import EvidenceFacts, LogVerdict, Shape
from descend.loss_logs.log import finite_losses
from descend.loss_logs.loss_kinds import NEAR_START_STEPS
from descend.loss_logs.positions import format_place
from descend.loss_logs.reward_rules import describe_reward

ADAM_HIGHEST = 1e-2
"""Peak rate up to which small transformers are trained with AdamW (Yang et al. 2022, "Tensor
Programs V"; Wortsman et al. 2023, "Small-scale proxies", sweep 3e-4 to 3e-1 and find losses rise
from about 1e-2 on)."""
FAR = 3.0
"""Times the highest usual rate from which a rate is far outside."""
NO_RATE = 100.0
"""Peak rate above which no optimizer is used: the word language model of PyTorch's examples trains
with SGD at 20, by clipping gradients to 0.25."""
USUAL_RATE = 1e-3
"""What is recommended instead: the middle of what small models are trained at."""
FLAT_SHARE = 0.5
"""Fraction of the run over which the smoothed loss stays where it ends, from which the segment is
flat: a power law with any usual exponent still falls by more over half a run. A first guess."""
MIN_FLAT_POINTS = 8
"""Losses from which a flat segment can be detected."""
FELL = 0.12
"""Fraction of the first loss that must have been lost before the flat segment."""
MANY_TOKENS = 8.0
"""Nats of a first loss from which the tokens are pieces of words by the thousand (ln 3,000)."""
FREQUENCY_NATS = 6.0
"""Nats above which a model of such tokens knows how frequent they are and little else: the entropy
of single words and pieces of words of English text is 6.5 to 8 nats, whatever the vocabulary. A
first guess."""
FEW_TOKENS, FREQUENCY_FRACTION = 4.0, 0.68
"""Nats of a first loss of characters and bytes, and the fraction of it above which such a model
knows frequencies and little else: 65 characters start at 4.17, and their frequencies cost 3.3."""
PAIR_FRACTION = 0.5
"""Fraction of such a first loss that counting pairs of tokens costs, about. A first guess."""
MIN_LEVEL_FALL = 0.05
"""Fraction of the first loss that must be lost before a level is one that was come down to."""
LEVEL = 0.01
"""Fraction of the loss that a doubling of the run gains, below which it has leveled off."""
MAX_MEMORIZED_LOSS_NATS = 0.7
"""Nats under which a training loss that began above `FROM_NOTHING` is one of text memorized
more often than one of text understood: half of what characters of English cost the best models.
A first guess."""
MAX_SMALL_LOSS_NATS = 0.3
"""Nats under which no training loss is one of unseen text, wherever it began. A first guess."""
MIN_VALIDATED_FRACTION = 0.5
"""Fraction of the run up to which validation must reach to tell learning from memorizing. A first
guess: a run that is validated twice has its last validation there or later."""
FROM_NOTHING = 3.0
BELOW_COUNTING_NATS = 1.8
"""Nats that counting characters does not reach: their frequencies cost 3.3 nats in English, pairs
2.4, triples 2.0. A run that begins below `FROM_NOTHING` and ends there is one of fine-tuning."""
NEAR_START = 1.0
"""The last place at which a loss is one of an untrained network."""


def other_objective(shape: Shape) -> LogVerdict | None:
    """Return a loss that is not of next tokens is not judged as one."""
    if shape.log.objective is None:
        return None
    return LogVerdict(
        f"this looks like {describe_kind(shape)}, and only the losses of language "
        f"models that predict the next token can be judged by level{_observations(shape)}"
    )


def describe_kind(shape: Shape) -> str:
    """Return which other kind of loss this is, and by which sign."""
    objective = shape.log.objective or ""
    what = {
        "no cross-entropy": "a loss that is no cross-entropy",
        "low from the start": "a loss that is no cross-entropy",
        "adversarial": "an adversarial loss",
        "two classes": "a loss of two classes or of preferences",
    }.get(objective, f"a {objective} loss")
    return f"{what} ({shape.log.objective_evidence})"


def _observations(shape: Shape) -> str:
    """Return what is visible of a run whose loss is not judged."""
    guess = describe_guess(shape)
    if shape.log.objective == "reward":
        reward = describe_reward(shape.log.reward, shape.log.policy_kl)
        return f"; {reward}" if reward else ""
    ends = f"The loss ends at {shape.curve.end:.2f}, {guess}" if guess else ""
    shape_text = "" if ends else describe_shape(shape)
    return "".join(f". {text}" for text in (ends, shape_text) if text)


def rate_out_of_range(shape: Shape) -> LogVerdict | None:
    """Return a logged peak rate far above what the optimizer is used at."""
    curve = shape.curve
    rate = curve.rate_highest
    if rate is None or rate <= FAR * ADAM_HIGHEST:
        return None
    if not shape.log.adam and not is_flat(curve) and rate <= NO_RATE:
        return None
    optimizer = "AdamW" if shape.log.adam else "AdamW, if that is the optimizer,"
    fact: EvidenceFacts = ("highest_rate", rate, "", (None, ADAM_HIGHEST),
                           f"{optimizer} is used up to {ADAM_HIGHEST:g}")  # fmt: skip
    reason = (
        f"the highest logged rate, {rate:g}, is {rate / ADAM_HIGHEST:.0f} times the highest usual"
    )
    if is_flat(curve):
        reason += f", and the loss stays at {curve.end:.2f} after a first fall"
    return LogVerdict(
        reason, "no", 0.8 if shape.log.adam else 0.5, "learning_rate_too_high", [fact],
        {"learning_rate": USUAL_RATE}, f"train at {USUAL_RATE:g} with a short warm-up",
    )  # fmt: skip


def summed_losses(shape: Shape) -> LogVerdict | None:
    """Return losses that were added up within each epoch: only their shape can be judged."""
    sums, curve = shape.log.sums, shape.curve
    if sums is None:
        return None
    trend = (
        f"falls from {sums.first:.2f} to {sums.last:.2f} at the same place of the epoch, so that "
        "the model learns and has not diverged"
        if sums.last < sums.first
        else f"is {sums.first:.2f} in the first epoch and {sums.last:.2f} at the same place of the "
        "last"
    )
    return LogVerdict(
        "the losses are sums within an epoch: they rise from near 0 in each and begin anew in the "
        f"next. The sum {trend}. The differences are read here ({curve.first:.2f} → "
        f"{curve.end:.2f}), but their level depends on what the program divides by: print the "
        "mean loss to have it judged"
    )


MIN_UNCHANGED = 10
"""Losses that are one number to the last digit, from which nothing is trained: batches differ."""


def unchanging_loss(shape: Shape) -> LogVerdict | None:
    """Return a loss that is the same number in every entry."""
    losses = [e.train_loss for e in shape.log.entries if e.train_loss is not None]
    if len(losses) < MIN_UNCHANGED or len(set(losses)) > 1 or losses[0] == 0:
        return None
    return LogVerdict(
        f"all {len(losses)} training losses are exactly {losses[0]:g}, though every batch is "
        "another: the same batch and weights are evaluated each time, or one number is printed",
        "no",
        advice="look for a bug in the program with `descend check`: an optimizer that gets other "
        "parameters, a rate of 0, or a loss that is cut off from the weights",
    )  # fmt: skip


def unexpected_start(shape: Shape) -> LogVerdict | None:
    """Return a first loss that no guess costs."""
    curve = shape.curve
    max_loss, known = shape.band.start_high, True
    if max_loss is None:
        max_loss, known = math.log(MAX_VOCABULARY), False
    if curve.first > max_loss and (not known or from_the_start(curve)):
        costs = f"an untrained network starts at {max_loss:.2f} or less" if known else (
            f"random guessing among {MAX_VOCABULARY:,} tokens gives {max_loss:.2f}"
        )  # fmt: skip
        return LogVerdict(
            f"the first loss is {curve.first:.2f}, and {costs}: initial weights or logits are too "
            "large, or losses were summed and not averaged, as those of whole sequences are", "no",
        )  # fmt: skip
    min_loss = shape.band.start_low
    if min_loss is not None and curve.first < min_loss and curve.first_position <= NEAR_START:
        return LogVerdict(
            f"the first loss is {curve.first:.2f}, but an untrained network starts at "
            f"{min_loss:.2f} or more: the model was trained before, has another vocabulary, or its "
            "input contains the target"
        )
    return None


def recurring_pattern(shape: Shape) -> LogVerdict | None:
    """Rises and falls that come again at one distance that is not known to be an epoch."""
    curve = shape.curve
    if curve.recurs_every is None or recurs_each_epoch(shape):
        return None
    return LogVerdict(
        f"the same rise and fall recurs every {curve.recurs_every:,.4g} {curve.unit}: the text is "
        "probably read in the same order each time, or the learning rate or the kind of text is "
        "periodic", "no",
    )  # fmt: skip


def flat_after_fall(shape: Shape) -> LogVerdict | None:
    """Return a flat segment after a fast fall, which only baselines can tell apart."""
    curve = shape.curve
    if shape.band.unigram is not None or not is_flat(curve):
        return None
    assert curve.flat_since is not None
    if curve.first >= MANY_TOKENS and curve.end < PAIR_FRACTION * curve.first:
        return None  # frequencies alone do not bring it there
    if curve.first < FROM_NOTHING and curve.end < BELOW_COUNTING_NATS:
        return None  # a network that had learned before
    return LogVerdict(
        f"it fell to about {curve.end:.2f} by {format_place(curve.flat_since)} {curve.unit} and "
        "stays there: this is the curve of a model that has learned what it can, or of one that "
        "knows only token frequencies; give the text (--corpus) to tell them apart"
    )


def levels_at_frequencies(shape: Shape) -> LogVerdict | None:
    """Return a curve that levels off where the frequencies of tokens alone bring it."""
    curve = shape.curve
    has_level = (
        math.isfinite(curve.slope_std_error)
        and curve.finite_points >= MIN_FLAT_POINTS
        and curve.slope_per_doubling < LEVEL * curve.end
    )
    fell = curve.first - curve.end >= MIN_LEVEL_FALL * curve.first
    if shape.band.unigram is not None or not (has_level and fell):
        return None
    rate = curve.rate_highest
    has_few_tokens = FEW_TOKENS <= curve.first < MANY_TOKENS
    if has_few_tokens and curve.end >= FREQUENCY_FRACTION * curve.first:
        if rate is None or rate <= USUAL_RATE:
            return LogVerdict(
                f"it levels off at {curve.end:.2f} after a start at {curve.first:.2f}, as a "
                "model that knows only token frequencies does, and as fine-tuning does. The text "
                "(--corpus) would decide"
            )
    elif not is_above_frequencies(curve):
        return None
    reason = (
        f"it levels off at {curve.end:.2f} after a start at {curve.first:.2f}, about the loss "
        "of a model that knows only token frequencies: the context is not learned"
    )
    if rate is not None and rate <= USUAL_RATE:
        return LogVerdict(reason, "no")
    return LogVerdict(
        reason, "no", 0.45, "learning_rate_too_high", [level_fact(curve)],
        {"learning_rate": USUAL_RATE},
        f"train at {USUAL_RATE:g} or at a tenth of the rate, with a warm-up; if that changes "
        "nothing, look for a bug between the context and the loss with `descend check`",
    )  # fmt: skip


def is_above_frequencies(curve: CurveFeatures) -> bool:
    """Return whether a curve of thousands of tokens ends where knowing their frequencies alone
    brings it, or above. A first loss that no guess among tokens costs is not one of tokens."""
    is_of_tokens = MANY_TOKENS <= curve.first <= math.log(MAX_VOCABULARY)
    return is_of_tokens and curve.end >= FREQUENCY_NATS


def is_by_epoch(curve: CurveFeatures) -> bool:
    """Return whether there is a point an epoch, so that the first is no loss of an untrained
    network."""
    intervals = curve.points - 1
    begins = curve.unit == "epochs" and curve.first_position in (0, 1)
    return begins and intervals > 0 and curve.length - curve.first_position >= intervals


def levels_after_first_epoch(shape: Shape) -> LogVerdict | None:
    """Return a curve of one point an epoch that stays where its first epoch ended, far from
    learned."""
    curve = shape.curve
    rate = curve.rate_highest
    if not is_by_epoch(curve) or curve.finite_points < MIN_FLAT_POINTS:
        return None
    if curve.end < FREQUENCY_NATS or (rate is not None and rate <= USUAL_RATE):
        return None
    return LogVerdict(
        f"the loss stays near {curve.end:.2f} after its first epoch: the rate is too high, or the "
        "program has a bug", "no", 0.4, "learning_rate_too_high", [level_fact(curve)],
        {"learning_rate": USUAL_RATE},
        f"train at {USUAL_RATE:g} or at a tenth of the rate, with a warm-up; if that changes "
        "nothing, look for a bug with `descend check`",
    )  # fmt: skip


def level_fact(curve: CurveFeatures) -> EvidenceFacts:
    """Return the slope of a curve that has leveled off, as evidence."""
    return ("slope_per_doubling", curve.slope_per_doubling, "nats", (LEVEL * curve.end, None),
            "a normal curve still falls at so high a loss")  # fmt: skip


def memorized_text(shape: Shape) -> LogVerdict | None:
    """Return a training loss so low that only validation text can tell learning from memorizing."""
    curve = shape.curve
    max_loss = MAX_MEMORIZED_LOSS_NATS if curve.first >= FROM_NOTHING else MAX_SMALL_LOSS_NATS
    is_validated = curve.validation_last_at >= MIN_VALIDATED_FRACTION * curve.length
    if (curve.validation_best is not None and is_validated) or curve.end > max_loss:
        return None
    missing = "a validation loss" if curve.validation_best is None else "a later validation loss"
    return LogVerdict(
        f"it ends at {curve.end:.2f}, as for memorized text, and without {missing} overfitting "
        "cannot be detected",
        advice="hold out some text and evaluate on it to the end of the run; where that loss turns "
        "upward, stop there, or train on more text",
    )


MIN_FALL_BESIDE, MAX_FOLLOWED = 0.12, 0.1
"""Fraction of itself that the training loss falls by from the first validation on, and fraction of
that fall by which the validation loss falls at most, where it does not follow. First guesses."""
MIN_VALIDATIONS = 3
"""Validation losses from which their course is judged."""


def validation_stays(shape: Shape) -> LogVerdict | None:
    """Return a validation loss that stays where it is while the training loss falls on."""
    curve = shape.curve
    validated = finite_losses(shape.log.entries, "validation_loss")
    if len(validated) < MIN_VALIDATIONS or curve.validation_best is None:
        return None
    place, first = validated[0]
    all_trained = finite_losses(shape.log.entries, "train_loss")
    trained = [loss for at, loss in all_trained if at >= place]
    if len(trained) < MIN_VALIDATIONS or shape.log.has_other_validation_unit:
        return None
    early = trained[: averaged(len(trained))]
    before = sum(early) / len(early)
    fall, followed = before - curve.end, first - curve.validation_best
    if fall < MIN_FALL_BESIDE * before or followed > MAX_FOLLOWED * fall:
        return None
    return LogVerdict(
        f"the validation loss stays near {curve.validation_best:.2f} while the training loss falls "
        f"by {fall:.2f}: the model memorizes, the validation text is of another kind, or the "
        "model that is validated is not the one that is trained"
    )


def is_flat(curve: CurveFeatures) -> bool:
    """Return whether the loss fell and then stayed where it is for most of the run."""
    if curve.finite_points < MIN_FLAT_POINTS or curve.flat_since is None:
        return False
    run = curve.length - curve.first_position
    fell = curve.first - curve.end >= FELL * curve.first
    return run > 0 and fell and curve.length - curve.flat_since >= FLAT_SHARE * run


NEAR_START_FRACTION = 0.02
"""Fraction of the log within which a first entry is of the beginning."""


def from_the_start(curve: CurveFeatures) -> bool:
    """Return whether the first entry is of the beginning, as far as places tell."""
    near = curve.first_position <= max(NEAR_START_STEPS, NEAR_START_FRACTION * curve.length)
    return curve.unit == "steps" and curve.length > 0 and near
