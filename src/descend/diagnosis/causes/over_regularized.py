"""It is held back by too much regularization.

What it is:
    Dropout, weight decay or label smoothing, meant against memorization, keep the model
    from learning at all.

An analogy:
    Training for a race with weights on your feet. A little makes you strong; with fifty kilos you
    never learn to run.

In technical words:
    Dropout sets each unit to zero with chance p, and scales up the rest:

        h ← h · m / (1 − p),   m = 0 with chance p, else 1

    Weight decay λ shrinks the weights at each step, so that what was learned more than about 1 /
    (η λ) steps ago fades:

        w ← (1 − η λ) w

    (for matrices under Muon η is 20 times the `learning_rate`). Label smoothing ε asks for a
    probability q = 1 − ε + ε/V of the right token and ε/V of each other, so that no training loss
    is lower than

        −q ln q − (V − 1) (ε/V) ln(ε/V)

    which for ε = 0.1 and V = 2,048 is 1.09 nats.

How it shows:
    With dropout on, the training loss is far above that of the same text in evaluation mode;
    there is no gap between known and validation text.

Not to be confused:
    A model that is too small shows no gap either. With dropout on, a training loss above the
    validation loss is normal.

More and less:
    More: a smaller gap, which pays where a text is read many times (`too_little_data`). Less:
    faster learning, and the right choice in one pass or a few, where there is nothing yet to
    prevent.

Typical values:
    {expected}

    These limits were not measured; for `dropout_rate` 0.1 to 0.2 is usual. The gap can mislead.
    Real runs (benchmarks/results/ranges/): dropout gap nats 0.27 in `fast_tinyshakespeare.json`,
    without any dropout, -0.13 in `dropout_07.json`, whose dropout of 0.7 was the fault. In three
    passes a dropout of 0.1 did harm (benchmarks/results/recipe/ablation.jsonl).

Proof:
    The same run with dropout and label smoothing off and a weight decay of at most 0.1. Token
    dropout and BPE-dropout are lowered to what the recipe takes for as many epochs.

What to try:
    Regularisation off, or as low as the trial says: `dropout_rate = 0`, `label_smoothing = 0`,
    `weight_decay = 0.1`.

When it is not this:
    There was none to speak of, or the run without it ends no lower.

Further reading:
    Srivastava et al. (2014), "Dropout: A Simple Way to Prevent Neural Networks from Overfitting".
    Wang and Aitchison (2024), "How to set AdamW's weight decay as you scale model and dataset
    size". Müller, Kornblith and Hinton (2019), "When Does Label Smoothing Help?".
"""

from __future__ import annotations

from collections.abc import Iterator

from descend.config import RunConfig
from descend.diagnosis.cause import Cause, ExpectedRange, TreatmentChange, cause_name
from descend.metrics.measurement import Measurements, measurement_value
from descend.training.recipe import choose_bpe_dropout, choose_token_dropout

DEAR = 0.15
"""Nats that dropout costs in training mode; first guess."""
MUCH_DROPOUT = 0.25
"""Fraction of the units; 0.1 to 0.2 is usual. Of 0.7 on 200 kB the training loss said nothing: it
was lower than that of the whole network, which had learned as little."""
MAX_EXCESS = 1.1
"""BPE-dropout over the recipe's from which it is above it: a plan knows only roughly how many
tokens the text has."""
LITTLE_DECAY = 0.1
"""AdamW's and Muon's usual value; not counted as much."""


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Return all of it off, but for what the recipe sets against repetition."""
    keys: dict[str, float] = dict(_above_recipe(config, measurements))
    if config.dropout_rate:
        keys["dropout_rate"] = 0.0
    if config.label_smoothing:
        keys["label_smoothing"] = 0.0
    if config.weight_decay > LITTLE_DECAY:
        keys["weight_decay"] = LITTLE_DECAY
    return (TreatmentChange("no regularization", keys),) if keys else ()


def _above_recipe(config: RunConfig, measurements: Measurements) -> Iterator[tuple[str, float]]:
    """Yield values of the recipe for settings that are above them.

    Token dropout and BPE-dropout pay when the text is read often. A trial reads less of it, so it
    would find them harmful in every run.
    """
    plain = config.model_copy(update={"token_dropout": None, "bpe_dropout": None})
    epochs, train_tokens = config.epoch or 1, measurement_value(measurements, "train_tokens")
    usual_bpe_dropout = choose_bpe_dropout(plain, epochs, train_tokens)
    usual_token_dropout = choose_token_dropout(plain, epochs, train_tokens)
    if (config.bpe_dropout or 0.0) > MAX_EXCESS * usual_bpe_dropout:
        yield "bpe_dropout", usual_bpe_dropout
    if (config.token_dropout or 0.0) > usual_token_dropout:
        yield "token_dropout", usual_token_dropout


def cannot_be(config: RunConfig, measurements: Measurements) -> str | None:
    """None on."""
    if not trial(config, measurements):
        decay = f"weight decay {config.weight_decay:g}"
        return (
            "there is no more than the recipe has: no dropout of activations, no label smoothing, "
            + decay
        )
    return None


CAUSE = Cause(
    name=cause_name(__name__),
    headline="there is too much regularization",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "dropout_rate",
            MUCH_DROPOUT,
            None,
            2.0,
            "of the units are dropped in every step",
            weight_outside=0.0,
        ),
        ExpectedRange(
            "dropout_gap_nats",
            DEAR,
            None,
            1.2,
            "nats that dropout costs while training",
            weight_outside=0.8,
        ),
        ExpectedRange(
            "generalization_gap_nats",
            None,
            0.15,
            1.0,
            "the model hardly memorizes",
            weight_outside=0.8,
        ),
    ),
    treatments=trial,
    advice="switch off regularization",
    exclusion_reason=cannot_be,
    prior_log_odds=0.1,
)
