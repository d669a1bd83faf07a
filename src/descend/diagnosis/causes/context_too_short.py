"""The context is too short.

What it is:
    The model reads fewer tokens than the text refers back to.

An analogy:
    Reading a novel through a slot that shows three words. "He" may be anyone: the name stood a
    line above, and the line is out of sight.

In technical words:
    The loss of the token at place t of a window, over validation text:

        loss(t) = −mean ln p(xₜ | x₁ … xₜ₋₁)

    The position slope is what the last doubling brought: its mean over the second quarter of the
    window, minus that over the second half. What lies beyond the window shows in the text itself,
    as the information that tokens d apart give of each other, in nats:

        I(d) = Σ p(x, y) ln [ p(x, y) / (p(x) p(y)) ]

How it shows:
    The loss still falls with every token read, right up to the end of the window; or tokens
    further back than the window tell of the next one, which counting pairs of tokens shows.

Not to be confused:
    With little training a longer context hurts: what stands far back has not been learned to be
    used yet, and there are fewer sequences to a batch.

More and less:
    Longer: more to go by; but attention costs with its square, memory grows, and the same tokens
    make fewer windows. Shorter: quicker and more varied steps. Shi and others find that the best
    length grows with the amount of text.

Typical values:
    {expected}

    The limit of the slope was not measured. Real runs (benchmarks/results/ranges/): loss slope per
    context doubling -0.068 in `fast_tinyshakespeare.json`, which reads 128 tokens; mutual
    information beyond context 0.0012 in `old_tinyshakespeare.json`, which reads 32, 0.04 in
    `context_4.json`, which reads 4. In a short run at equal tokens a window of 128 ended with a
    higher loss than one of 32 (benchmarks/results/compare/contexts.json).

Proof:
    Four times the context and a quarter of the batch, so that a step has as many tokens, judged
    on the same validation tokens. Then sixteen times, while that ends lower still.

What to try:
    The longer context: four times `seq_len` (and `max_seq_len`), a quarter of `batch_size`. A
    larger vocabulary also puts more text into the same window.

When it is not this:
    The last doubling of the window brought nothing, or the longer context ends no lower.

Further reading:
    Shi et al. (2025), "Explaining Context Length Scaling and Bounds for Language Models". Li
    (1990), "Mutual Information Functions versus Correlation Functions".
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.diagnosis.cause import Cause, ExpectedRange, TreatmentChange, cause_name
from descend.metrics.measurement import Measurements, measurement_value

MIN_CONTEXT_FALL_NATS = 0.02
"""Nats won by the last doubling of the context (diagnosis notes; first guess)."""
SHORT = 32
"""Tokens under which a flat end rules nothing out. Origin: letters that repeat the one twelve back,
read in windows of four: the loss is flat at the window's end, since what helps lies beyond it. Of
text, most of what a context brings lies within some ten words."""
TELLING = 0.03
"""Nats that one token alone tells of another. Origin: books in pieces read 0.01 beyond 16 tokens,
letters that repeat the one five back 0.92 there."""
FACTORS = (4, 16, 64)


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Longer windows, fewer of them."""
    return tuple(
        TreatmentChange(
            f"{factor} times the context",
            {
                "seq_len": config.seq_len * factor,
                "max_seq_len": max(config.max_seq_len, config.seq_len * factor),
                "batch_size": max(1, config.batch_size // factor),
                "gradient_accumulation_steps": 1,
            },
        )
        for factor in FACTORS
        if config.seq_len * factor * MIN_WINDOWS
        < measurement_value(measurements, "train_tokens", 1e12)
        and config.seq_len * factor < measurement_value(measurements, "validation_tokens", 1e12)
    )


MIN_WINDOWS = 8
"""A longer window must still fit the text so many times."""


def cannot_be(config: RunConfig, measurements: Measurements) -> str | None:
    """Return a flat end of the loss by position, in a window long enough to show what lies beyond
    it."""
    slope = measurements.get("loss_slope_per_context_doubling")
    if config.seq_len < SHORT or slope is None:
        return None
    if slope.value + 2 * slope.std_error < MIN_CONTEXT_FALL_NATS / 2:
        return (
            f"the last doubling of the context lowers the loss by {slope.value:.3f} nats "
            f"(standard error {slope.std_error:.3f}): a longer one has nothing to add"
        )
    return None


CAUSE = Cause(
    name=cause_name(__name__),
    headline="the context is too short",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "loss_slope_per_context_doubling",
            MIN_CONTEXT_FALL_NATS,
            None,
            0.2,
            "the loss still falls at the window's end",
            weight_outside=0.7,
        ),
        ExpectedRange(
            "mutual_information_beyond_context",
            TELLING,
            None,
            2.0,
            "nats that a token beyond the context tells",
            weight_outside=0.0,
        ),
    ),
    treatments=trial,
    advice="use a longer context",
    exclusion_reason=cannot_be,
)
