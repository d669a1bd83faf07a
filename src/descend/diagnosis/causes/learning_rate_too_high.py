"""The learning rate is too high.

What it is:
    Steps overshoot: the weights jump about the valley instead of walking down it.

An analogy:
    Seven-league boots in a narrow valley. Each stride lands on the opposite slope, no lower than
    the one before; only shorter strides lead down to the stream.

In technical words:
    In a valley of curvature λ (the largest eigenvalue of the Hessian) a step of plain gradient
    descent makes the loss rise if

        η · λ > 2

    With Adam, and the curvature taken in the units that Adam gives the weights, the bound is

        η · λ > (2 + 2 β₁) / (1 − β₁) = 38 for β₁ = 0.9

    With large batches training drives λ up to that bound and stays there, the edge of stability.

How it shows:
    The loss is jagged or stays on a shelf; gradients have outliers; with a falling rate it drops
    sharply once the rate is low. The multiplier hardly shows it: most often it reads 1 to 3, as
    on a healthy run. Far too high, it leaves ruins inside: attention scores of thousands, heads
    stuck on one position, blocks that use few directions.

Not to be confused:
    A small batch is jagged too, and so is noisy text. A lower rate at the end of any run lowers
    the loss: only a run with the same relative fall may be compared.

More and less:
    Higher still: stuck heads and dead units, at last numbers that are not finite (`diverged`).
    Lower: calmer steps that come to rest deeper, but from some rate on do not get there in time
    (`learning_rate_too_low`).

Typical values:
    {expected}

    The limits of update ratio, loss rise, gradient spread and multiplier were not measured.
    Those of attention logit and effective rank were read off
    benchmarks/results/ranges/activations.json. Real runs (benchmarks/results/ranges/): update to
    weight ratio 0.025 in `fast_tinyshakespeare.json`, the default, 0.1 in `rate_times_30.json`;
    max attention logit 35 in `fast_tinyshakespeare.json`, 5300 in `rate_times_30.json`.

Proof:
    The same run at a third of the rate, then a tenth, down to 1/300, while the loss ends lower
    each time. The schedule keeps its relation to the peak, so that both sides cool down alike.

What to try:
    The best rate of the trial: `descend train --from-run RUN --apply-fix`. Without a diagnosis, a
    third of `learning_rate`; then a longer `warmup_steps` and `gradient_clip = 1`, one at a time.

When it is not this:
    A third of the rate ends no lower.

Further reading:
    Cohen et al. (2022), "Adaptive Gradient Methods at the Edge of Stability". Wortsman et al.
    (2023), "Small-scale proxies for large-scale Transformer training instabilities". Zhai et al.
    (2023), "Stabilizing Transformer Training by Preventing Attention Entropy Collapse".
"""

from __future__ import annotations

import math

from descend.config import RunConfig
from descend.diagnosis.cause import (
    FAR,
    LEARNED_NOTHING,
    USUAL_RATE,
    Cause,
    ExpectedRange,
    TreatmentChange,
    cause_name,
    scaled_learning_rate,
    usual_rate_changes,
)
from descend.metrics.measurement import Measurements, measurement_value

BIG_UPDATE = 0.012
"""Update to weight a step. Origin: prototype: 0.0097 when healthy, 0.013 at three times it."""
OUTLIERS = 4.0
"""99th over 50th percentile of the gradient norm; first guess."""
RISEN = 0.2
"""Nats by which a running mean of the loss rose again; first guess."""
RUINED_LOGIT = 100.0
"""Largest attention score before the softmax. Origin: benchmarks/results/ranges/activations.json:
under 30 at the usual rates and below, over 1,000 at 30 times them."""
FEW_DIRECTIONS = 0.3
"""Effective rank over the width; same origin: 0.6 and more at the usual rates and below."""
FACTORS = (1 / 3, 1 / 10, 1 / 30, 1 / 100, 1 / 300)


RUINS = {"max_attention_logit": 1000.0, "update_to_weight_ratio": 0.1, "max_loss_increase": 1.0}
"""What a rate leaves that is at least ten times too high; two of them are enough. Origin:
benchmarks/results/ranges/rate_times_30.json for the first two; the third is a first guess."""
RUINOUS = 10.0
"""Times the usual rate from which such ruins are laid to it."""


def is_far_too_high(config: RunConfig, measurements: Measurements) -> bool:
    """Return whether a third of the rate, or a tenth, is to be expected as broken as the rate."""
    distance = config.peak_learning_rate / USUAL_RATE
    ruins = sum(
        measurement_value(measurements, name) >= threshold for name, threshold in RUINS.items()
    )
    return distance > FAR or (distance >= RUINOUS and ruins >= 2)


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Lower rates; of a run that has learned nothing much lower ones, and of a rate that is far
    from all that is usual those about the usual one."""
    if is_far_too_high(config, measurements):
        return usual_rate_changes(config)
    known = measurement_value(measurements, "measured_validation_loss", 0.0)
    # Where nothing was learned, a third of the rate most often ends there too (a tiny run at six
    # times the rate and dropout 0.5: a third of it gained nothing, a tenth 0.9 nats).
    stuck = known > LEARNED_NOTHING * measurement_value(measurements, "unigram_loss", math.inf)
    return tuple(
        TreatmentChange(
            f"1/{1 / factor:.0f} of the learning rate", scaled_learning_rate(config, factor)
        )
        for factor in (FACTORS[1:] if stuck else FACTORS)
    )


CAUSE = Cause(
    name=cause_name(__name__),
    headline="the learning rate is too high",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "update_to_weight_ratio",
            BIG_UPDATE,
            None,
            0.0,
            "weights move a lot in every step",
            weight_outside=0.8,
        ),
        ExpectedRange(
            "gradient_norm_p99_over_p50",
            OUTLIERS,
            None,
            0.0,
            "gradients have outliers",
            weight_outside=0.6,
        ),
        ExpectedRange(
            "max_loss_increase",
            RISEN,
            None,
            0.7,
            "the loss rose again for a while",
            weight_outside=1.4,
        ),
        ExpectedRange(
            "critical_step_multiplier_fresh",
            None,
            3.0,
            0.0,
            "steps are not too short",
            weight_outside=0.3,
        ),
        ExpectedRange(
            "max_attention_logit",
            RUINED_LOGIT,
            None,
            3.0,
            "a head's scores are so large that it is stuck on one position",
            weight_outside=0.0,
        ),
        ExpectedRange(
            "effective_rank_fraction",
            None,
            FEW_DIRECTIONS,
            0.7,
            "the outputs of a block use few directions",
            weight_outside=0.0,
        ),
    ),
    treatments=trial,
    advice="lower the learning rate",
    prior_log_odds=-0.3,
)
