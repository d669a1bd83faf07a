"""Validation text stands in the training text.

What it is:
    Passages that should judge the model were trained on; its score says how well it remembers.

An analogy:
    An examination whose questions were handed out the week before. The marks are good, and nobody
    knows what the pupils can do.

In technical words:
    A validation token is covered if it lies in a run of n tokens that is in the training text too;
    n is 32, and longer where so short a run comes up by chance or is under 160 bytes:

        overlap = covered validation tokens / all validation tokens
        clean rise = loss(tokens not covered) − loss(all validation tokens)

    The loss on honest text is higher by the clean rise. Copies that stand all over the text
    explain as much of it as their share, r, so what is reported is

        max(clean rise, overlap · 1 nat) · (1 − r)

    but at least 0.05 where half of the validation text or more is covered, whatever explains it:
    then the loss says how much was memorized, and no trial judged by it says anything.

    A passage of some 48 words is nearly a copy if 40 % of its runs of four words stand in one place
    of training, in their order. The near overlap is the fraction of such passages, at the least,
    beyond what the training text has of itself and beyond the overlap; where it is 0.05 or more,
    the value is

        max(clean rise, (overlap · (1 − r) + near overlap) · 1 nat)

How it shows:
    Passages of the validation text stand in training, word for word or with small changes; on the
    rest the loss is much higher.

Not to be confused:
    Common phrases and licence headers overlap in honest splits as well, by a few percent.

More and less:
    The more overlap, the more the validation loss flatters, and the more so the larger the model
    and the more passes it made. It also hides overfitting: the best epoch is chosen by what is
    remembered. Removing too much, such as every stock phrase, makes the text less like itself.

Typical values:
    {expected}

    From 0.05 on it is reported as a leak. These limits were not measured. A real run
    (benchmarks/results/ranges/): exact contamination fraction 0 in `fast_tinyshakespeare.json`. Lee
    and others found that it touches over 4 % of the held-out part of standard datasets.

Proof:
    The same model judged on the validation tokens that do not stand in training.

What to try:
    Remove the copies (`descend corpus add FROM TO --deduplicate near`) and train again. Expect
    the validation loss to rise: to what it should have been.

When it is not this:
    The loss without the copied passages is the same.

Further reading:
    Lee et al. (2022), "Deduplicating Training Data Makes Language Models Better". Carlini et al.
    (2022), "Quantifying Memorization Across Neural Language Models".
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.diagnosis.cause import Cause, ExpectedRange, TreatmentChange, cause_name
from descend.metrics.measurement import Measurements, measurement_value


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Return no setting to try: it is measured."""
    return ()


MIN_OVERLAP_FRACTION = 0.05
"""Fraction of validation tokens that stand in training, from which it is a leak: honest splits of
the embedded corpora and of four books show under 2 %. First guess."""
MEMORIZATION_NATS = 1.0
"""Nats that a token memorized costs less, where no token is left to compare with. First
guess."""
MOSTLY_OVERLAPPING = 0.5
"""The same, from which the validation loss is for the greater part that of memorized text."""
MIN_HARM_NATS = 0.05
"""Nats that it is then off by at least: enough to be reported."""


def is_mostly_copied(measurements: Measurements) -> bool:
    """Return whether the validation loss says how much was memorized, and little else."""
    return measurement_value(measurements, "exact_contamination_fraction") >= MOSTLY_OVERLAPPING


def measured(measurements: Measurements) -> float:
    """Return what the loss would be higher on validation text that is not in training.

    Copies that stand all over the text explain as much of it as their share.
    """
    exact, near = (
        measurement_value(measurements, "exact_contamination_fraction"),
        measurement_value(measurements, "fuzzy_contamination_fraction"),
    )
    rise, rest = (
        measurement_value(measurements, "uncontaminated_loss_increase"),
        1.0 - measurement_value(measurements, "duplicate_train_fraction"),
    )
    if near >= MIN_OVERLAP_FRACTION:
        return max(rise, (exact * rest + near) * MEMORIZATION_NATS)
    if exact < MIN_OVERLAP_FRACTION:
        return 0.0
    harm = max(rise, exact * MEMORIZATION_NATS) * rest
    return max(harm, MIN_HARM_NATS) if is_mostly_copied(measurements) else harm


CAUSE = Cause(
    name=cause_name(__name__),
    headline="validation text also occurs in the training text, so the validation loss is too low",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "exact_contamination_fraction",
            0.02,
            None,
            2.1,
            "of the validation text also occurs in the training text",
            weight_outside=2.3,
        ),
        ExpectedRange(
            "fuzzy_contamination_fraction",
            0.05,
            None,
            4.4,
            "of the validation text occurs there with small changes",
            weight_outside=0.0,
        ),
        ExpectedRange(
            "uncontaminated_loss_increase",
            0.02,
            None,
            1.0,
            "nats more on validation text that does not occur there",
        ),
    ),
    treatments=trial,
    advice="remove the copies with `descend corpus add --deduplicate near`, then train again",
    measured_harm_nats=measured,
    invalidates_evaluation=True,
    prior_log_odds=-0.3,
)
