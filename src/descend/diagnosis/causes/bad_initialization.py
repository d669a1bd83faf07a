"""It began in a bad place.

What it is:
    The first weights are so large, so small or so alike that training has to repair them first.

An analogy:
    A pupil who comes to the first class sure of a hundred wrong things. Before anything can be
    learned, they have to be unlearned.

In technical words:
    Who knows nothing finds all V tokens equally likely, so the first loss should be ln V. Logits
    that scatter with a standard deviation s instead cost about

        first loss ≈ ln V + s² / 2

    since the model is sure of what it cannot know yet. A unit u is called dead if over all
    positions looked at

        max |u| ≤ 0.001 · rms(all units of its layer)

How it shows:
    The first loss is far above ln V, the loss of guessing; or the run went on from a model that
    was no good start: most units of a block, say, silent whatever they are given.

Not to be confused:
    A high loss after many steps says nothing about the start. Only the first step tells. In a
    program of your own, weights too large or too alike are bugs: `initialization_exploding`,
    `initialization_symmetric`.

More and less:
    Larger first weights: confident errors, and at some size an explosion. Smaller: the signal
    fades from layer to layer, and so does the gradient; learning starts late. Alike: units that
    get the same gradient stay the same.

Typical values:
    {expected}

    The limit of the first loss was not measured: for 2,048 tokens it stands for logits that scatter
    by s = 2.1. None of the units were dead at the usual rates
    (benchmarks/results/ranges/activations.json). Real runs (benchmarks/results/ranges/): initial
    loss ratio 1 in `fast_tinyshakespeare.json`; dead unit fraction 0 in
    `fast_tinyshakespeare.json`, 0.54 in `rate_times_30.json`, which a rate far too high killed.

Proof:
    The same run from fresh weights.

What to try:
    Start from fresh weights: `descend train` instead of `descend continue`.

When it is not this:
    The first loss is near ln V and the run began from fresh weights.

Further reading:
    Karpathy (2019), "A Recipe for Training Neural Networks". Glorot and Bengio (2010),
    "Understanding the difficulty of training deep feedforward neural networks". Lu et al. (2019),
    "Dying ReLU and Initialization: Theory and Numerical Examples".
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.diagnosis.cause import Cause, ExpectedRange, TreatmentChange, cause_name
from descend.metrics.measurement import Measurements, measurement_value


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Return no setting to try: it is measured."""
    return ()


MOSTLY_DEAD = 0.5
"""Fraction of a block's feed-forward units that are silent whatever it reads; none are in a sound
network (benchmarks/results/ranges/activations.json)."""
FAR_OFF = 1.3
"""First loss over ln V; first guess: normal starts read 1.0, a head ten times too large over 2."""


def measured(measurements: Measurements) -> float:
    """Return how far above guessing the run began, in units of ln V."""
    initial_loss_ratio = measurement_value(measurements, "initial_loss_ratio")
    return initial_loss_ratio - 1.0 if initial_loss_ratio >= FAR_OFF else 0.0


CAUSE = Cause(
    name=cause_name(__name__),
    headline="the initial weights are bad",
    page=__doc__,
    expected_ranges=(
        ExpectedRange("initial_loss_ratio", 1.3, None, 3.0, "of ln V at the first step"),
        ExpectedRange(
            "dead_unit_fraction", MOSTLY_DEAD, None, 1.5, "never speak", weight_outside=0.0
        ),
    ),
    treatments=trial,
    advice="start from fresh weights",
    measured_harm_nats=measured,
    prior_log_odds=-3.0,
)
