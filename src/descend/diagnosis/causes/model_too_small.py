"""The model is too small for this text.

What it is:
    The network has too few numbers to hold what the text would teach it.

An analogy:
    Taking notes of a whole course on a single sheet. However long you study, what does not fit on
    it is lost.

In technical words:
    With N parameters and D tokens to train on, the loss falls about as

        L(N, D) = E + A / N^a + B / D^b

    E is the text's own uncertainty. The model is too small where A / N^a is the largest part that
    is left. Computing costs C ≈ 6 · N · D; the lowest loss for a given C has about

        D ≈ 20 · N

    in large models (Hoffmann and others). Twice the width is about four times the parameters of
    the blocks.

How it shows:
    The loss levels off well above what counting or a larger model reaches, on training text as
    on validation text: there is no gap between the two.

Not to be confused:
    A low rate ends high as well. And a larger model helps nearly every run a little: it also
    costs more time, which could have been spent on more steps.

More and less:
    Wider or deeper: a lower loss for the same text; but each step takes longer, memory grows, and
    little text is sooner memorized. Smaller: quick steps, the better choice where time is
    short.

Typical values:
    {expected}

    First guesses, but for the 20 tokens to a parameter, which are Hoffmann's. Small texts stay
    under those, so that the floor gap tells more. Real runs (benchmarks/results/ranges/): gap to
    ngram nats -0.23 in `fast_tinyshakespeare.json`, the default, 0.96 in `width_8.json`, a network
    8 wide; tokens per parameter 0.25 in `fast_tinyshakespeare.json`, 7 in `width_8.json`.

Proof:
    The same run at two, four, eight and sixteen times the width, equal tokens, each while it ends
    lower. The gain at equal time is reported beside it: the control's own curve says what the extra
    seconds would have brought it.

What to try:
    The smallest model whose gain is worth its time: twice `embed_dim`, `ff_dim` and `num_heads`.
    Look for the rate again, since a wider model usually wants a lower one.

When it is not this:
    Twice the width ends no lower, or the training loss is far below the validation loss already.

Further reading:
    Kaplan et al. (2020), "Scaling Laws for Neural Language Models". Hoffmann et al. (2022),
    "Training Compute-Optimal Large Language Models".
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.diagnosis.cause import Cause, ExpectedRange, TreatmentChange, cause_name
from descend.metrics.measurement import Measurements, measurement_value

NO_GAP = 0.15
"""Nats between seen and validation text up to which nothing is memorized; first guess."""
MUCH_TEXT = 20.0
"""Training tokens for each parameter from which size is the usual limit (Hoffmann et al. 2022)."""
FACTORS = (2, 4, 8, 16)
WIDEST = 4096
"""Not tried beyond: such a trial would not fit the budget of any run."""


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Wider networks; heads keep their size."""
    return tuple(
        TreatmentChange(
            f"{factor} times the width",
            {
                "embed_dim": config.embed_dim * factor,
                "ff_dim": config.ff_dim * factor,
                "num_heads": config.num_heads * factor,
            },
        )
        for factor in FACTORS
        if config.embed_dim * factor <= WIDEST and config.num_heads * factor <= 256
    )


def cannot_be(config: RunConfig, measurements: Measurements) -> str | None:
    """Return a model that has memorized its training text is large enough."""
    gap, train_loss = (
        measurement_value(measurements, "generalization_gap_nats"),
        measurement_value(measurements, "trained_text_loss", 1.0),
    )
    if gap > MEMORIZED_GAP_RATIO * max(train_loss, 1e-9) and gap > 2 * NO_GAP:
        return (
            f"it already knows its training text far better ({train_loss:.2f} against"
            f" {train_loss + gap:.2f})"
        )
    return None


MEMORIZED_GAP_RATIO = 0.5
"""Gap over training loss from which more room would only memorize more; first guess."""

WORSE = 0.3
"""Nats above what counting reaches; first guess. A model 8 wide read 0.96 on 200 kB
(benchmarks/results/ranges/width_8.json)."""

CAUSE = Cause(
    name=cause_name(__name__),
    headline="the model is too small",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "gap_to_ngram_nats",
            WORSE,
            None,
            2.5,
            "nats above the best n-gram baseline",
            weight_outside=0.0,
        ),
        ExpectedRange(
            "generalization_gap_nats", None, NO_GAP, 0.0, "the model does not memorize yet"
        ),
        ExpectedRange(
            "tokens_per_parameter",
            MUCH_TEXT,
            None,
            1.5,
            "there is much text for each parameter",
            weight_outside=1.8,
        ),
    ),
    treatments=trial,
    always_try=True,
    advice="use a wider model",
    exclusion_reason=cannot_be,
    is_costly=True,
    prior_log_odds=0.2,
)
