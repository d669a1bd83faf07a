"""The learning rate does not follow a good course.

What it is:
    The rate starts at its full height, stays there to the last step, or falls to nothing long
    before the end.

An analogy:
    Landing an aeroplane. Whoever never slows down does not touch the ground, and whoever brakes
    to a halt in mid-air does not reach the runway.

In technical words:
    Noise keeps the weights bouncing above the bottom of the valley. For plain gradient descent in
    a quadratic valley, with the covariance Σ of the gradient's noise, they come to rest higher by

        η · tr(Σ) / 4

    so that a rate that falls to zero takes this away. The schedule `wsd` has, over w steps of
    warmup, with u the share left after it,

        η(s) = η_peak · min( (s + 1) / (w + 1), u / 0.5, 1 )

    Warmup is there because the first gradients are large and Adam's averages still empty.

How it shows:
    An early spike of the loss (no warmup); a noisy end (no fall); many steps at nearly no rate.

Not to be confused:
    A constant rate that is too high looks alike: lowering all of it helps there too, a fall at
    the end helps more.

More and less:
    A longer fall: a calmer end, less way made at full rate. A longer warmup: safer at high rates,
    wasted at low ones. A constant rate can be prolonged at will, but looks worse than it is until
    it is brought down.

Typical values:
    {expected}

    These limits were not measured. Real runs (benchmarks/results/ranges/): final lr fraction 0.0041
    in `fast_tinyshakespeare.json`, the default, 1 in `old_tinyshakespeare.json`, a constant rate.
    In the recipe's ablations a rate that never falls cost as much as a whole pass of three
    (benchmarks/results/recipe/ablation.jsonl). The default warms up over a twentieth of the run.

Proof:
    The same peak, rising over the first twentieth and falling to zero over the last half; equal
    steps.

What to try:
    `schedule = wsd`, with `warmup_steps` left open.

When it is not this:
    The schedule already rises and falls, or the other one ends no lower.

Further reading:
    Hägele et al. (2024), "Scaling Laws and Compute-Optimal Training Beyond Fixed Training
    Durations". Mandt, Hoffman and Blei (2017), "Stochastic Gradient Descent as Approximate
    Bayesian Inference".
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.diagnosis.cause import Cause, ExpectedRange, TreatmentChange, cause_name
from descend.metrics.measurement import Measurements, measurement_value

HIGH_END = 0.3
"""Rate of the last step over the peak; first guess: a run that cools down ends under 0.1."""
WASTED = 0.1
"""Fraction of steps under a hundredth of the peak; first guess."""
LONG_WARMUP = 0.3


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Return the schedule of the default recipe at the same peak."""
    keys = {"schedule": "wsd", "warmup_steps": None, "learning_rate": config.peak_learning_rate}
    return (TreatmentChange("a rate that rises and falls", keys),)


def cannot_be(config: RunConfig, measurements: Measurements) -> str | None:
    """Return a schedule that warms up, and cools down over a good part of the run."""
    warmup = (config.warmup_steps or 0) / max(measurement_value(measurements, "steps", 1.0), 1.0)
    falls = config.schedule in ("wsd", "cosine", "linear")
    if falls and MIN_WARMUP <= warmup <= LONG_WARMUP:
        return f"the rate rises over {warmup:.0%} of the run and falls to zero ({config.schedule})"
    return None


MIN_WARMUP = 0.005
"""Fraction of the run; less is as good as none in runs of some hundred steps."""

CAUSE = Cause(
    name=cause_name(__name__),
    headline="the learning-rate schedule is bad",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "final_lr_fraction",
            HIGH_END,
            None,
            1.7,
            "learning rate of the last step, over the peak",
            weight_outside=1.5,
        ),
        ExpectedRange(
            "near_zero_lr_fraction",
            WASTED,
            None,
            0.5,
            "of the steps at nearly zero learning rate",
            weight_outside=0.4,
        ),
        ExpectedRange(
            "warmup_fraction",
            LONG_WARMUP,
            None,
            0.6,
            "the learning rate rises for so long (warmup_steps)",
            weight_outside=0.5,
        ),
    ),
    treatments=trial,
    advice="use warmup, and decay the learning rate to zero",
    exclusion_reason=cannot_be,
    prior_log_odds=0.1,
)
