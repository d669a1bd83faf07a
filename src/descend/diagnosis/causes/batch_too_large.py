"""The batch is too large.

What it is:
    Each step averages far more text than it needs, so that the text is used up in too few
    steps.

An analogy:
    Polling ten thousand people before each small decision. The answer was clear after fifty, and
    the day is over after three decisions.

In technical words:
    With T tokens to train on and B tokens in a batch there are

        steps = T / B

    and to come to a given loss takes, in tokens,

        tokens ≈ E · (1 + B / B_noise),   B_noise = tr(Σ) / |G|²

    where E is what the smallest batches would need (McCandlish and others). Far above the
    gradient noise scale B_noise (in batches of the run), twice the batch costs twice the
    tokens and saves hardly a step.

How it shows:
    Few steps; the noise scale is under a batch or two; a step could be longer.

Not to be confused:
    A low rate also wants longer steps; there the same number of steps at a higher rate helps as
    much.

More and less:
    Smaller: more updates from the same text, at the same rate or a somewhat lower one; noisier,
    and slower a token where the hardware is wide. Larger: fewer and calmer updates, which pays
    only while noise is what holds the run back.

Typical values:
    {expected}

    These limits were not measured. Real runs (benchmarks/results/ranges/): steps 510 in
    `fast_tinyshakespeare.json`, the default, 7200 in `old_tinyshakespeare.json`; gradient noise
    scale 8.2 in `fast_tinyshakespeare.json`, 35 in `old_tinyshakespeare.json`. At equal tokens a
    batch of 128 ended with a far higher loss than one of 4 or 16
    (benchmarks/results/compare/batches.json).

Proof:
    A quarter of the batch at the same rate, equal tokens, so four times the steps. Then a
    sixteenth, while that ends lower still.

What to try:
    The smaller batch: a quarter of `batch_size`, with `gradient_accumulation_steps` no larger.
    Then look for the rate again, half of it first.

When it is not this:
    A quarter of the batch ends no lower.

Further reading:
    McCandlish et al. (2018), "An Empirical Model of Large-Batch Training". Shallue et al. (2019),
    "Measuring the Effects of Data Parallelism on Neural Network Training". Marek et al. (2025),
    "Small Batch Size Training for Language Models: When Vanilla SGD Works, and Why Gradient
    Accumulation Is Wasteful".
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.diagnosis.cause import Cause, ExpectedRange, TreatmentChange, cause_name
from descend.metrics.measurement import Measurements

FEW_STEPS = 500.0
"""Steps of a whole run that are few; first guess."""
MAX_NOISE_SCALE = 2.0
"""Noise scale in batches under which averaging more is waste; first guess."""
FACTORS = (4, 16, 64)


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Smaller batches at the same rate."""
    return tuple(
        TreatmentChange(
            f"1/{factor} of the batch",
            {
                "batch_size": config.batch_size // factor,
                "gradient_accumulation_steps": min(
                    config.num_micro_batches, config.batch_size // factor
                ),
            },
        )
        for factor in FACTORS
        if config.batch_size >= factor
    )


def cannot_be(config: RunConfig, measurements: Measurements) -> str | None:
    """Exclude a batch of few sequences, which has no quarter."""
    if config.batch_size < FACTORS[0]:
        return f"a batch of {config.batch_size} sequences cannot be much smaller"
    return None


CAUSE = Cause(
    name=cause_name(__name__),
    headline="the batch is too large, so the run has too few steps",
    page=__doc__,
    expected_ranges=(
        ExpectedRange("steps", None, FEW_STEPS, 1.2, "steps in the whole run", weight_outside=1.5),
        ExpectedRange(
            "gradient_noise_scale",
            None,
            MAX_NOISE_SCALE,
            0.8,
            "a batch averages more than it needs",
            weight_outside=1.1,
        ),
        ExpectedRange(
            "critical_step_multiplier_fresh",
            2.0,
            None,
            0.4,
            "steps could be longer",
            weight_outside=0.5,
        ),
    ),
    treatments=trial,
    advice="use a smaller batch",
    exclusion_reason=cannot_be,
    prior_log_odds=-0.3,
)
