"""The batch is too small.

What it is:
    Each step follows so few tokens that it is mostly noise, and the noise does not average out
    within the run.

An analogy:
    Asking one passer-by at every corner. Some send you the wrong way, and much of your walk
    undoes itself; asking four before each turn takes longer at the corner and less time in all.

In technical words:
    With the gradient G of all text and the covariance Σ of those of single tokens, the gradient
    noise scale (in batches of the run) is

        B_noise = tr(Σ) / |G|²

    and a batch of B needs

        steps ≈ S · (1 + B_noise / B)

    where S is what perfect gradients would need (McCandlish and others). Far below B_noise, twice
    the batch halves the steps. With Adam and its kin the rate then goes with √B.

How it shows:
    A step can be far longer on its own batch than on fresh text; the gradient noise scale is
    many batches; the loss is jagged.

Not to be confused:
    A rate that is too high gives the same picture, and a lower rate or a falling one is the
    cheaper fix. At equal tokens a smaller batch is often better, since it makes more steps:
    the textbook is wrong as often as right.

More and less:
    Larger: calmer steps, a higher rate, better use of a GPU; but fewer updates for the same text.
    Smaller: more updates and less memory. Marek and others train with a batch of 1 as well, if
    Adam's β₂ keeps its memory in tokens: β₂ ^ (new batch / old batch).

Typical values:
    {expected}

    These limits were not measured. Real runs (benchmarks/results/ranges/): gradient noise scale 8.2
    in `fast_tinyshakespeare.json`, the default, 35 in `old_tinyshakespeare.json`, 46 in
    `context_4.json`; four times the batch helped none of them. At equal tokens a batch of 16 ended
    with a higher loss than one of 4 (benchmarks/results/compare/batches.json).

Proof:
    Four times the batch at twice the rate, equal tokens, so a quarter of the steps.

What to try:
    The larger batch with its rate: four times `batch_size`, twice `learning_rate`. First see
    whether a schedule that falls to zero does the same for less: `schedule = wsd`.

When it is not this:
    Four times the batch ends no lower at equal tokens.

Further reading:
    McCandlish et al. (2018), "An Empirical Model of Large-Batch Training". Malladi et al. (2022),
    "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms". Marek et al. (2025), "Small
    Batch Size Training for Language Models: When Vanilla SGD Works, and Why Gradient Accumulation
    Is Wasteful".
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.diagnosis.cause import (
    Cause,
    ExpectedRange,
    TreatmentChange,
    cause_name,
    scaled_learning_rate,
)
from descend.metrics.measurement import Measurements, measurement_value

NOISY = 20.0
"""Noise scale in batches; first guess: a larger batch pays up to about the noise scale."""
FACTORS = (4, 16)


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Larger batches, the rate with the square root of the batch (Malladi et al. 2022)."""
    return tuple(
        TreatmentChange(
            f"{factor} times the batch",
            {"batch_size": config.batch_size * factor} | scaled_learning_rate(config, factor**0.5),
        )
        for factor in FACTORS
    )


def cannot_be(config: RunConfig, measurements: Measurements) -> str | None:
    """With a handful of steps a larger batch would leave none."""
    steps = measurement_value(measurements, "steps", 1e9)
    if steps < MIN_STEPS:
        return f"the run has only {steps:.0f} steps; a larger batch would leave fewer"
    return None


MIN_STEPS = 200
"""Under so many steps, fewer of them always hurt more than quieter ones help; first guess."""

CAUSE = Cause(
    name=cause_name(__name__),
    headline="the batch is too small",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "gradient_noise_scale",
            NOISY,
            None,
            0.5,
            "noise drowns the gradient of a batch",
            weight_outside=0.8,
        ),
        ExpectedRange(
            "critical_step_multiplier_fresh",
            None,
            2.0,
            0.0,
            "steps are too long for the loss on new text",
            weight_outside=0.1,
        ),
        ExpectedRange("steps", 2000.0, None, 0.5, "there are steps to spare", weight_outside=0.9),
    ),
    treatments=trial,
    advice="use a larger batch with a higher learning rate",
    exclusion_reason=cannot_be,
    prior_log_odds=-0.4,
)
