"""There is too little text: the model memorizes it.

What it is:
    The text is so short, for the model and the number of passes, that going over it again
    teaches the text and no longer the language.

An analogy:
    Learning a language from one page. After a hundred readings you can recite it without a slip,
    and still cannot ask for the way.

In technical words:
    What is memory and not skill is the generalisation gap, both parts in evaluation mode:

        gap = loss(validation text) − loss(training text)

    A further pass is worth less than fresh text. P passes over U tokens count like

        U · [1 + R · (1 − e^(−(P − 1) / R))]

    fresh ones: R is about 15 in large models (Muennighoff and others), 6.8 fitted to small ones
    (benchmarks/results/plan/fit.txt: 4.3).

How it shows:
    Training loss far below validation loss, both in evaluation mode; the validation loss reached
    its lowest and rose again.

Not to be confused:
    Validation text of another kind shows the same gap without any memorization; dropout
    makes the training loss look high and hides the gap until both are measured in evaluation
    mode.

More and less:
    More text: a smaller gap and a lower validation loss, for as much more training. More passes, a
    wider model or less dropout over the same text: a lower training loss, and from some pass on a
    higher validation loss.

Typical values:
    {expected}

    Up to four passes repeats are nearly as good as fresh text (Muennighoff and others). The other
    limits were not measured. Under a thousand tokens the text is
    too little whatever else is read: each of the smallest vocabulary (257) stands there fewer than
    four times. Real runs (benchmarks/results/ranges/): generalization gap nats 0.62 in
    `fast_tinyshakespeare.json`, the default on a megabyte, 1.8 in `ten_sentences.json`; validation
    loss increase after best 0 in `fast_tinyshakespeare.json`, 0.078 in `ten_sentences.json`.

Proof:
    Half the text, the same steps: what halving costs says what more text would gain, as much of it
    as makes one pass of all steps, at most eight times; hardly anything after one or two passes.
    At most 0.15 of the gap and 0.5 of what was lost past the best epoch: text known no better than
    new lacks none. Then the same text with dropout.

What to try:
    More text of the same kind. Until then: stop at the best epoch (which is the one kept), and
    `dropout_rate = 0.2` if the trial says so. A `weight_decay` of 1, ten times the usual, cut
    what repeats cost by about 70 % in the runs of Lovelace and others.

When it is not this:
    Half the text ends as low as all of it.

Further reading:
    Muennighoff et al. (2023), "Scaling Data-Constrained Language Models". Lovelace et al. (2026),
    "Prescriptive Scaling Laws for Data Constrained Training".
"""

from __future__ import annotations

import math

from descend.config import RunConfig
from descend.diagnosis.cause import Cause, ExpectedRange, TreatmentChange, cause_name
from descend.metrics.measurement import Measurements, measurement_value
from descend.runs.events import OVERFITTING_RISE
from descend.units import format_part_read

GAP = 0.3
"""Nats between seen and validation text; first guess."""
MANY_EPOCHS = 4.0
"""Passes up to which repeated text is about as good as fresh (Muennighoff et al. 2023)."""
FEW_TOKENS = 20_000.0
"""Tokens of text that even the smallest network here memorizes; first guess."""
MIN_TOKENS = 1_000.0
"""Tokens of text under which nothing else is to blame: fewer than four uses of each of the smallest
vocabulary there is (257), so that most of what is to be predicted was hardly ever seen; first
guess."""
EACH_HALVING = 0.3
"""Nats that half the text costs; first guess: a trial with half of it says more."""
DROPOUT = 0.2


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Return what half the text costs, then what fewer passes and dropout make good."""
    num_epochs = config.epoch or 1
    turned = (
        measurement_value(measurements, "validation_loss_increase_after_best") > OVERFITTING_RISE
    )
    half = TreatmentChange(
        "half the text",
        {},
        train_fraction=0.5,
        is_ablation=True,
        inverse_effect_fraction=adding_over_halving(num_epochs),
        max_inverse_effect_nats=max_inverse_effect_nats(measurements),
        min_inverse_effect_nats=min_inverse_effect_nats(num_epochs, measurements),
        # A curve that turned shows by itself what the text is short of.
        min_run_fraction=0.0 if turned else min_run_fraction(num_epochs),
    )
    changes = [half]
    best = max(1, round(measurement_value(measurements, "best_epoch", 1.0) * num_epochs))
    if turned and best < num_epochs:
        begun = measurement_value(
            measurements, "epochs", float(num_epochs)
        )  # the last may have been cut short
        label = f"{best} passes over the text instead of {round(begun, 1):g}"
        changes.append(TreatmentChange(label, {"epoch": best}, steps=best / begun))
    if config.dropout_rate < DROPOUT:
        changes.append(TreatmentChange(f"dropout {DROPOUT}", {"dropout_rate": DROPOUT}))
    return tuple(changes)


def adding_over_halving(num_epochs: float) -> float:
    """Return what more text gains, of what half of it costs, at equal tokens (0 and up).

    More: as much as makes a single pass of `num_epochs`, at most `MAX_MORE` times, as a model is
    made up to so many times as wide. The loss follows the logarithm of what the text is worth, its
    tokens times w(P) for P passes, w(P) = 1 + R (1 - exp(-(P - 1) / R)) (Muennighoff et al. 2023):
    few passes are nearly as good as fresh text, so that a run of two has little to gain, and one of
    many more than halving costs.
    """

    more = max(1.0, min(MAX_MORE, num_epochs))
    return (
        math.log(more)
        + _log_effective_epochs(num_epochs / more)
        - _log_effective_epochs(num_epochs)
    ) / _cost_of_halving(num_epochs)


def max_inverse_effect_nats(measurements: Measurements) -> float | None:
    """Return nats that more text can gain at most: a fraction of what text it trained on is easier,
    and of what was lost past the best epoch. What is known no better than new text lacks none of
    it, whatever half of it would cost: there may be a cliff just below what there is."""
    gap = measurements.get("generalization_gap_nats")
    if gap is None:
        return None
    rise = measurement_value(measurements, "validation_loss_increase_after_best")
    return OF_THE_GAP * max(0.0, gap.value) + OF_THE_RISE * max(0.0, rise)


def min_inverse_effect_nats(num_epochs: float, measurements: Measurements) -> float:
    """Return nats that more text gains at least where the validation loss rose much past the best
    epoch, 0 where it did not: half of so little text is memorized as well, and costs little."""
    rise = measurement_value(measurements, "validation_loss_increase_after_best")
    if rise < TURNED * measurement_value(measurements, "measured_validation_loss", math.inf):
        return 0.0
    gap = max(0.0, measurement_value(measurements, "generalization_gap_nats"))
    return OF_THE_GAP_A_DOUBLING * gap * math.log2(max(num_epochs, 1.0)) + OF_THE_RISE * rise


TURNED, OF_THE_GAP_A_DOUBLING = 0.03, 0.05
"""Fraction of the loss that a large rise has at least, and what each doubling of the text gains of
the gap. Origin: of the same 198 runs eleven turned so far, and of none is this more than what more
text gained (0.61 of it in the median, 0.23 to 0.95; half the text says 0.45)."""
OF_THE_GAP, OF_THE_RISE = 0.15, 0.5
"""Origin: of 198 tiny runs with half and with more of their text, whether more gains 3 % is
reported as often of real text with this bound as without, and nearly four times as often of stories
(benchmarks/results/diagnosis/more_text.jsonl)."""


def min_run_fraction(num_epochs: float) -> float:
    """Return the fraction of a run of so many passes from which half the text costs
    `MIN_COST_FRACTION` of what it does in all of it: in less than a pass over half the text none of
    it comes twice."""
    fractions = [n / 100 for n in range(1, 101)]
    whole = MIN_COST_FRACTION * _cost_of_halving(num_epochs)
    return next(s for s in fractions if _cost_of_halving(s * num_epochs) >= whole)


MIN_COST_FRACTION = 0.5
"""First guess: what is left of the cost in a shorter trial, to be distinguished from chance at
all."""


def _log_effective_epochs(num_epochs: float) -> float:
    """Logarithm of what so many passes are worth, in passes over text that never repeats."""
    if num_epochs < 1:
        return math.log(num_epochs)
    return math.log(
        1
        + MAX_EFFECTIVE_REPETITIONS * (1 - math.exp(-(num_epochs - 1) / MAX_EFFECTIVE_REPETITIONS))
    )


def _cost_of_halving(num_epochs: float) -> float:
    """By the same law, at equal tokens."""
    return math.log(2) + _log_effective_epochs(num_epochs) - _log_effective_epochs(2 * num_epochs)


MAX_MORE = 8.0
"""Times the text that may be requested."""
MAX_EFFECTIVE_REPETITIONS = 6.8
"""R: passes that repeated text is worth at most. Origin: an early fit to trials of small
networks; the last one gives 4.3 (benchmarks/results/plan/fit.txt). Large ones: 15 in the paper."""


def cannot_be(config: RunConfig, measurements: Measurements) -> str | None:
    """Return why the text cannot be too little: read at most once, it is not memorized."""
    num_epochs = measurement_value(measurements, "epochs", 1.0)
    if num_epochs < 1 and not hardly_any(measurements):
        return (
            f"the run read only {format_part_read(num_epochs)} of its text, so no part of it twice"
        )
    gap = measurement_value(measurements, "generalization_gap_nats", 1.0)
    if (config.epoch or 1) == 1 and gap < GAP / 2 and not hardly_any(measurements):
        return f"the validation text is only {gap:.2f} nats harder than the training text"
    return None


def hardly_any(measurements: Measurements) -> bool:
    """Return whether there is so little text that no trial need tell."""
    return measurement_value(measurements, "train_tokens", MIN_TOKENS) < MIN_TOKENS


def measured(measurements: Measurements) -> float:
    """Return nats by which the loss is above that of `FEW_TOKENS`, where there is hardly any
    text."""
    if not hardly_any(measurements):
        return 0.0
    return EACH_HALVING * math.log2(
        FEW_TOKENS / max(measurement_value(measurements, "train_tokens"), 1.0)
    )


CAUSE = Cause(
    name=cause_name(__name__),
    headline="there is too little text, so the model memorizes it",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "generalization_gap_nats",
            GAP,
            None,
            1.7,
            "training text is much easier for the model",
            weight_outside=1.8,
        ),
        ExpectedRange(
            "validation_loss_increase_after_best",
            OVERFITTING_RISE,
            None,
            1.3,
            "the validation loss rose after its best epoch",
            weight_outside=1.1,
        ),
        ExpectedRange(
            "train_tokens", MIN_TOKENS, FEW_TOKENS, 2.5, "very little text", weight_outside=0.0
        ),
        ExpectedRange("epochs", MANY_EPOCHS, None, 1.0, "many of them", weight_outside=1.1),
        # Not fitted: more than all that speaks for others, since none of it means anything here.
        ExpectedRange(
            "train_tokens",
            None,
            MIN_TOKENS - 1,
            8.0,
            "too few tokens for any setting",
            weight_outside=0.0,
        ),
    ),
    treatments=trial,
    advice="add more text of the same kind; until then stop at the best epoch",
    exclusion_reason=cannot_be,
    measured_harm_nats=measured,
    is_costly=True,
    prior_log_odds=-0.1,
)
