"""The vocabulary is too large for so little text.

What it is:
    Most tokens stand so few times in the training text that nothing can be learned about them.

An analogy:
    A phrase book of ten thousand entries for a weekend. You meet most of them once or never, and
    their pages make the book too heavy to carry.

In technical words:
    Word frequencies fall about as one over their rank r (Zipf). In a text of N tokens, with V of
    them different, the token of rank r has about

        uses(r) ≈ N / (r · ln V)

    so that those beyond rank N / (20 · ln V) have fewer than 20 uses. The tables hold V · D
    numbers, twice that where input and output have one each: their fraction of all is the embedding
    share.

How it shows:
    A large fraction of the vocabulary has fewer than twenty uses; embeddings hold most of the
    parameters; most of the loss falls on rare tokens.

Not to be confused:
    Too little text for any vocabulary looks alike; a high loss by itself is no sign, since a
    token of a larger vocabulary carries more text.

More and less:
    Larger: shorter sequences and a longer reach of the same context; rarer tokens, larger tables,
    a dearer last layer. Smaller: each token well known, but more of them to the same text. The
    best size grows with text and model (Tao and others).

Typical values:
    {expected}

    First guesses, but for the fraction of the loss, which three runs on one text stand behind: it
    was 0.01 at 512 tokens, 0.39 at 2,048, as good in bits per byte, and 0.72 at 6,221, which was
    much worse; rare vocabulary read 0.38, 0.84 and 0.97
    (benchmarks/results/ranges/rare_tokens.json).

Proof:
    A quarter of the vocabulary over the same bytes of text, compared in bits per byte on the
    same validation text.

What to try:
    The smaller vocabulary: a quarter of `vocab_size`, or leave it open: it is then chosen by the
    size of the text. Compare `bits_per_byte`, never the loss.

When it is not this:
    The smaller vocabulary needs more bits per byte.

Further reading:
    Tao et al. (2024), "Scaling Laws with Vocabulary: Larger Models Deserve Larger Vocabularies".
    Zipf (1949), "Human Behavior and the Principle of Least Effort".
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.diagnosis.cause import Cause, ExpectedRange, TreatmentChange, cause_name
from descend.metrics.measurement import Measurements

MANY_RARE = 0.3
"""Fraction of the vocabulary with under 20 uses; first guess."""
MOSTLY_RARE = 0.5
"""Fraction of the validation loss on tokens used under 20 times. Origin: benchmarks/results/ranges/
rare_tokens.json: 0.01 at 512 tokens and 0.39 at 2,048, as good in bits per byte; 0.72 at 6,221,
which was 0.8 worse, while the fraction of the vocabulary that is rare reads 0.38 at 512 already."""
MOSTLY_TABLES = 0.5
FACTORS = (4, 16)
MIN_VOCAB_SIZE = 257
"""All bytes and the end of text: the least that RunConfig takes."""


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Smaller vocabularies."""
    size = config.vocab_size or 0
    sizes = dict.fromkeys(max(size // factor, MIN_VOCAB_SIZE) for factor in FACTORS)
    return tuple(
        TreatmentChange(f"a vocabulary of {small:,}", {"vocab_size": small, "vocab_path": None})
        for small in sizes
        if small <= size * MAX_SIZE_RATIO
    )


MAX_SIZE_RATIO = 0.67
"""A change smaller than this would show nothing."""


def cannot_be(config: RunConfig, measurements: Measurements) -> str | None:
    """Exclude characters and bytes, which are few already."""
    size = config.vocab_size or 0
    if config.tokenizer != "bpe" or size * MAX_SIZE_RATIO < MIN_VOCAB_SIZE:
        return f"{size} tokens are about as few as there can be"
    return None


CAUSE = Cause(
    name=cause_name(__name__),
    headline="the vocabulary is too large for so little text",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "rare_token_fraction",
            MANY_RARE,
            None,
            1.0,
            "is used under 20 times in training",
            weight_outside=1.5,
        ),
        ExpectedRange(
            "rare_token_loss_fraction",
            MOSTLY_RARE,
            None,
            0.8,
            "falls on tokens used under 20 times",
            weight_outside=1.4,
        ),
        ExpectedRange(
            "embedding_parameter_fraction",
            MOSTLY_TABLES,
            None,
            0.2,
            "are in the embeddings",
            weight_outside=0.7,
        ),
    ),
    treatments=trial,
    advice="use a smaller vocabulary",
    exclusion_reason=cannot_be,
    prior_log_odds=-0.5,
)
