"""The learning rate is too low.

What it is:
    Every step goes in a good direction and stops far too soon, so that the run ends before it
    has come anywhere near what the same number of steps could reach.

An analogy:
    Walking down a long valley in steps of a hand's breadth. Every step leads down and none is
    wrong, but night falls while the river is still miles away.

In technical words:
    AdamW and Muon fix how far a step goes, so that the rate η alone bounds the whole way:

        AdamW:  |Δw| up to about η a step, η · steps in a run
        Muon:   rms(ΔW) ≈ 20 η / √(columns of W), 20 being the factor of descend

    How much longer a step could be, the critical step multiplier says. With weights w, the next
    update u and the loss L:

        c = the largest c with L(w + c · u) ≤ L(w)

How it shows:
    The loss falls smoothly and is still falling at the end. A step could be many times as long
    before the loss rises; weights hardly move in a step.

Not to be confused:
    A model that is too small also ends high, but there a longer step makes the loss rise. A run
    that is only too short has steps of a sensible size. Much dropout can raise it too.

More and less:
    The lower the rate, the smoother the curve and the less is learned. Higher, the same steps
    reach further at no cost in time, until they overshoot (`learning_rate_too_high`).

Typical values:
    {expected}

    These limits were not measured. Real runs (benchmarks/results/ranges/): critical
    step multiplier fresh 2 in `fast_tinyshakespeare.json`, the default, 170 in `rate_over_30.json`,
    21 in `dropout_07.json`, where the rate is not to blame; update to weight ratio 0.025 in
    `fast_tinyshakespeare.json`, 0.00088 in `rate_over_30.json`.

Proof:
    The same run at three times the rate, then ten, up to 300, while the loss ends lower each time:
    equal seed, data order, tokens and evaluation. The rate is too low if a higher one ends lower by
    more than the spread between seeds. Under a 30th of the default, the default, three and ten
    times it are tried instead.

What to try:
    The best rate of the trial: `descend train --from-run RUN --apply-fix`. Without a diagnosis,
    three and then ten times `learning_rate`. Where there was no warmup, a short one: a high rate is
    dangerous only in the first steps.

When it is not this:
    The multiplier is near 1, gradients are clipped at most steps, or three times the rate ends
    no lower.

Further reading:
    Kalra et al. (2026), "A Scalable Measure of Loss Landscape Curvature for Analyzing the
    Training Dynamics of LLMs". Karpathy (2022), "Building makemore Part 3: Activations &
    Gradients, BatchNorm" (lecture). Liu et al. (2025), "Muon is Scalable for LLM Training".
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.diagnosis.cause import (
    FAR,
    USUAL_RATE,
    Cause,
    ExpectedRange,
    TreatmentChange,
    cause_name,
    scaled_learning_rate,
    usual_rate_changes,
)
from descend.metrics.measurement import Measurements, measurement_value

LONG_STEP = 5.0
"""Multiplier from which a step is much too short. Origin: prototype (tiny Shakespeare): rates 3, 10
and 30 times too low read 5, 40 and 400; healthy ones 0.5 to 2.5."""
VERY_LONG_STEP = 30.0
"""From here on the first rate tried is ten times as high; same origin."""
SMALL_UPDATE = 0.002
"""Update to weight a step; same origin: 0.0019 at a tenth of the rate, 0.0097 when healthy."""
FACTORS = (3.0, 10.0, 30.0, 100.0, 300.0)


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Higher rates, from where the multiplier points to; of a rate far below all that is usual
    those about the usual one."""
    if config.peak_learning_rate * FAR < USUAL_RATE:
        return usual_rate_changes(config)
    first = (
        1
        if measurement_value(measurements, "critical_step_multiplier_fresh") >= VERY_LONG_STEP
        else 0
    )
    return tuple(
        TreatmentChange(f"{factor:g} times the learning rate", scaled_learning_rate(config, factor))
        for factor in FACTORS[first:]
    )


CAUSE = Cause(
    name=cause_name(__name__),
    headline="the learning rate is too low",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "critical_step_multiplier_fresh",
            LONG_STEP,
            None,
            2.8,
            "a much longer step would still lower the loss on new text",
            weight_outside=2.7,
        ),
        ExpectedRange(
            "update_to_weight_ratio",
            None,
            SMALL_UPDATE,
            1.0,
            "a step hardly moves the weights",
            weight_outside=0.8,
        ),
    ),
    treatments=trial,
    advice="raise the learning rate",
    prior_log_odds=1.6,
)
