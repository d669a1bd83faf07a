"""Training diverged: not a number, or an explosion.

What it is:
    A step made the loss or a gradient infinite or not a number, or the loss exploded and did not
    come back. Training went back to the last good state and tried one change after the other; it
    stopped where none helped, or where that was switched off.

An analogy:
    A microphone before its own loudspeaker. Each sound comes back a little louder, and within a
    second there is nothing but a howl.

In technical words:
    In a valley of curvature λ each step of plain gradient descent multiplies the distance from
    the bottom by |1 − η λ|; over 1, it grows without end. Clipping bounds the norm of the
    gradient g by k:

        g ← g · min(1, k / ‖g‖)

    A loss counts as run away if for 10 steps in a row, with the median m and the deviation σ of
    those before and V tokens in the vocabulary,

        loss > m + max(7 σ, (ln V − m) / 2, 1 nat)

How it shows:
    The records hold rollbacks or end with `diverged`, with the first bad step and place; before it
    the gradient norm rises by orders of magnitude, or clipping works at every step.

Not to be confused:
    A jagged loss alone is no divergence. A single bad batch can do it; then leaving out that
    batch is enough.

More and less:
    Lower limits, lower rates and longer warmups make it rarer; too much of them makes a run slow.
    In float16 numbers above 65,504 overflow; bfloat16 and float32 reach to about 3 · 10³⁸.

Typical values:
    {expected}

    That limit was not measured. Runs that did not diverge (benchmarks/results/ranges/): gradient
    norm p99 over p50 1.7 in `fast_tinyshakespeare.json`, the default, 4.3 in `rate_times_30.json`.
    Huang and others report gradients of up to a thousand times their usual size. Clipping at 1 is
    the custom.

Proof:
    The run again from the start with one thing changed at a time: a third of the rate, clipping
    at 1, warmup; then, where more than one of them is off, all as they are by default. The mildest
    that comes past the bad step with about the lowest loss is the treatment; what time is left goes
    into what more there is to gain on top of it, since to stay finite is not yet to learn.

What to try:
    The mildest change that comes past the step with about the lowest loss: `gradient_clip = 1`, a
    longer `warmup_steps`, a third of `learning_rate`. With
    `divergence_rollback` on a run goes back by itself.

When it is not this:
    The records hold no rollback and say that training ended otherwise.

Further reading:
    Huang et al. (2025), "SPAM: Spike-Aware Adam with Momentum Reset for Stable LLM Training".
    Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural networks".
    Micikevicius et al. (2018), "Mixed Precision Training".
"""

from __future__ import annotations

from typing import Any

from descend.config import DEFAULT_GRADIENT_CLIP, RunConfig
from descend.diagnosis.cause import (
    Cause,
    ExpectedRange,
    TreatmentChange,
    cause_name,
    scaled_learning_rate,
)
from descend.metrics.measurement import Measurements


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Return changes of one thing at a time, the mildest first."""
    changes = []
    if not 0 < config.gradient_clip <= DEFAULT_GRADIENT_CLIP:
        changes.append(
            TreatmentChange(
                f"gradients clipped at {DEFAULT_GRADIENT_CLIP:g}",
                {"gradient_clip": DEFAULT_GRADIENT_CLIP},
            )
        )
    if not config.warmup_steps:
        changes.append(TreatmentChange("warmup", {"warmup_steps": None, "schedule": _warm(config)}))
    changes += [
        TreatmentChange(
            f"1/{1 / factor:.0f} of the learning rate", scaled_learning_rate(config, factor)
        )
        for factor in (1 / 3, 1 / 10, 1 / 100)
    ]
    return (*changes, *_usual(config))


def _usual(config: RunConfig) -> list[TreatmentChange]:
    """Return all else that keeps numbers small as it is by default, at falling rates: where it was
    off as well, one thing at a time may get past the bad step, and learn little."""
    keys: dict[str, Any] = {}
    if config.weight_decay > DECAY:
        keys["weight_decay"] = DECAY
    if not 0 < config.gradient_clip <= DEFAULT_GRADIENT_CLIP:
        keys["gradient_clip"] = DEFAULT_GRADIENT_CLIP
    if not config.warmup_steps:
        keys |= {"warmup_steps": None, "schedule": _warm(config)}
    if not keys:  # the rate alone, where a hundredth of it is still above all that is usual
        peak = config.peak_learning_rate
        return [
            TreatmentChange(
                f"a learning rate of {rate:g}", scaled_learning_rate(config, rate / peak)
            )
            for rate in RATES
            if rate < peak / 100
        ]
    off = " and ".join(NAMES[key] for key in keys if key in NAMES)
    return [
        TreatmentChange(f"the usual {off} at a rate of {rate:g}", keys | {"learning_rate": rate})
        for rate in RATES
        if rate < config.peak_learning_rate
    ]


NAMES = {"weight_decay": "decay", "gradient_clip": "clipping", "warmup_steps": "warmup"}
DECAY = 0.1
"""The default, and that of most recipes since GPT-3."""
RATES = (0.1, 0.01, 0.001)
"""From above all that is usual to the default."""


def _warm(config: RunConfig) -> str:
    return config.schedule if config.schedule not in ("constant", "piecewise") else "wsd"


CAUSE = Cause(
    name=cause_name(__name__),
    headline="training diverged",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "gradient_norm_p99_over_p50", 10.0, None, 0.5, "gradients grew by orders of magnitude"
        ),
    ),
    treatments=trial,
    advice="lower the learning rate, clip gradients, and use warmup",
    prior_log_odds=-3.0,
)
