"""The context is not used.

What it is:
    The model reads many tokens and predicts as if it had read one or two.

An analogy:
    A reader with a thick file before him who looks at the last page only. The other pages cost
    time to print and to carry, and change nothing of what he says.

In technical words:
    With the loss at place t of a window of T tokens, held-out:

        context gain = loss(1) − mean of loss(t) over t > T/2

    and the context needed is the fraction of T after which the loss falls no further (by 1 % and
    two standard errors). A model that looks at the last token only stands on the bigram baseline,
    −mean ln p(xₜ | xₜ₋₁). Such plateaus are nearly stationary: the gradient is almost nothing
    there, and training may rest on one for long.

How it shows:
    The loss does not fall with the number of tokens read, or no further after the first quarter
    of them.

Not to be confused:
    Early in training every model passes through this state. Text of which each token depends on
    one before it only has no more to give. Where nothing at all gets through, look for a bug:
    `positions_missing`, `attention_scale_missing`.

More and less:
    A shorter context makes more and cheaper windows of the same text; too short, it takes away
    what a longer run would learn to use. A longer one that is not used costs time and gains
    nothing.

Typical values:
    {expected}

    These limits were not measured. Real runs (benchmarks/results/ranges/): context benefit nats 1
    in `fast_tinyshakespeare.json`, the default, 0.36 in `old_tinyshakespeare.json`, 0.0033 in
    `dropout_07.json`, which learned hardly more than frequencies: there it is a symptom.

Proof:
    A quarter of the context and four times the batch: if nothing is lost, the rest was not
    used. A sixteenth is tried where a quarter ends lower.

What to try:
    A quarter of `seq_len` with four times `batch_size`, which trains faster; or longer training,
    until the context is used. One may also begin short and go on longer (Press and others).

When it is not this:
    The loss falls with every doubling of the tokens read.

Further reading:
    Varre, Yüce and Flammarion (2025), "Learning In-context n-grams with Transformers: Sub-n-grams
    Are Near-stationary Points". Press, Smith and Lewis (2021), "Shortformer: Better Language
    Modeling using Shorter Inputs".
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.diagnosis.cause import Cause, ExpectedRange, TreatmentChange, cause_name
from descend.metrics.measurement import Measurements

UNUSED = 0.05
"""Nats that all of the context but one token brings; first guess."""
FACTORS = (4, 16)
MIN_SEQ_LEN = 4


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Shorter windows, more of them."""
    return tuple(
        TreatmentChange(
            f"1/{factor} of the context",
            {"seq_len": config.seq_len // factor, "batch_size": config.batch_size * factor},
        )
        for factor in FACTORS
        if config.seq_len // factor >= MIN_SEQ_LEN
    )


def cannot_be(config: RunConfig, measurements: Measurements) -> str | None:
    """Return the context brings something, and its end too."""
    context_benefit, slope = (
        measurements.get("context_benefit_nats"),
        measurements.get("loss_slope_per_context_doubling"),
    )
    if context_benefit is None or slope is None:
        return None
    if context_benefit.value > USED and slope.value > 2 * slope.std_error:
        return (
            f"the full context lowers the loss by {context_benefit.value:.2f} nats, its last"
            f" half by {slope.value:.3f}"
        )
    return None


NEEDED = 0.25
"""Fraction of the context; a quarter of it is what is tried."""
USED = 0.2
"""Nats from which the context is clearly used; first guess."""

CAUSE = Cause(
    name=cause_name(__name__),
    headline="the model does not use most of its context",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "context_benefit_nats",
            None,
            UNUSED,
            0.6,
            "nats gained by reading further back",
            weight_outside=1.3,
        ),
        ExpectedRange(
            "effective_context_fraction",
            None,
            NEEDED,
            0.8,
            "a longer context lowers the loss no further",
            weight_outside=1.5,
        ),
    ),
    treatments=trial,
    advice="use a shorter context",
    exclusion_reason=cannot_be,
    prior_log_odds=-0.7,
)
