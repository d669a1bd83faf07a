"""The vocabulary is too small.

What it is:
    Text is cut into pieces so short that the model spends its depth and its context on
    spelling.

An analogy:
    Reading letter by letter through a keyhole. Each letter is easy to guess, but the word is gone
    before the sentence has begun.

In technical words:
    A token carries some bytes of text, and the loss is per token, so only this can be compared:

        bits per byte = loss / (ln 2 · bytes per token)

    The same bytes per token say how much text fits into the window:

        reach in bytes = seq_len · bytes per token

    and training on a text takes that many fewer steps.

How it shows:
    Few bytes to a token; hardly any rare tokens.

Not to be confused:
    The loss per token looks low, since each token carries little: only bits per byte can be
    compared.

More and less:
    Larger: more text to the window and to the step; rarer tokens, larger tables, a dearer last
    layer (`vocabulary_too_large`). Smaller: nothing is rare, no word unknown; but long sequences,
    and spelling has to be learned first.

Typical values:
    {expected}

    These limits were not measured. Bytes as tokens have 1 byte each. Real runs
    (benchmarks/results/ranges/): bytes per token 2.9 in `fast_tinyshakespeare.json`, of 2,048
    tokens, 3.3 in `old_tinyshakespeare.json`, of 4,096; rare token fraction 0.086 in
    `fast_tinyshakespeare.json`, 0.48 in `old_tinyshakespeare.json`.

Proof:
    Four times the vocabulary over the same bytes of text, compared in bits per byte on the same
    validation text.

What to try:
    The larger vocabulary: four times `vocab_size`; instead of `char` or `byte`,
    `tokenizer = bpe`. Compare `bits_per_byte`, never the loss.

When it is not this:
    The larger vocabulary needs more bits per byte.

Further reading:
    Tao et al. (2024), "Scaling Laws with Vocabulary: Larger Models Deserve Larger Vocabularies".
    Sennrich, Haddow and Birch (2016), "Neural Machine Translation of Rare Words with Subword
    Units".
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.diagnosis.cause import Cause, ExpectedRange, TreatmentChange, cause_name
from descend.metrics.measurement import Measurements, measurement_value

SHORT_TOKENS = 2.3
"""Bytes per token; a vocabulary of 257 has 1, of 512 about 1.9, of 4,096 about 3.3 in English."""
FEW_RARE = 0.1
FACTOR = 4
FIRST_VOCAB_SIZE = 512


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Four and sixteen times the vocabulary; of characters or bytes, pieces instead."""
    size = config.vocab_size or 0
    if config.tokenizer != "bpe":
        sizes = [
            max(FIRST_VOCAB_SIZE, FACTOR * size),
            FACTOR * max(FIRST_VOCAB_SIZE, FACTOR * size),
        ]
    else:
        sizes = [FACTOR * size, FACTOR * FACTOR * size]
    max_size = measurement_value(measurements, "train_tokens", 1e12) / MIN_USES
    return tuple(
        TreatmentChange(
            f"a vocabulary of {large:,}",
            {"vocab_size": large, "tokenizer": "bpe", "vocab_path": None},
        )
        for large in sizes
        if large <= max_size
    )


MIN_USES = 20
"""Tokens of text for each token of the vocabulary under which most would be rare."""


def cannot_be(config: RunConfig, measurements: Measurements) -> str | None:
    """Return a vocabulary that is mostly rare cannot be too small."""
    rare = measurement_value(measurements, "rare_token_fraction")
    if rare > TOO_RARE:
        return f"{rare:.0%} of the vocabulary is used under 20 times in training already"
    return None


TOO_RARE = 0.5

CAUSE = Cause(
    name=cause_name(__name__),
    headline="the vocabulary is too small",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "bytes_per_token",
            None,
            SHORT_TOKENS,
            0.5,
            "the tokens are short",
            weight_outside=0.9,
        ),
        ExpectedRange(
            "rare_token_fraction",
            None,
            FEW_RARE,
            0.9,
            "few tokens are rare",
            weight_outside=1.2,
        ),
    ),
    treatments=trial,
    advice="use a larger vocabulary",
    exclusion_reason=cannot_be,
    prior_log_odds=-0.3,
)
