"""The vocabulary is too large for so little text.

What it is:
    Most tokens stand so few times in the training text that nothing can be learned about them.

How it shows:
    A large share of the vocabulary has fewer than twenty uses; embeddings hold most of the
    parameters; most of the loss falls on rare tokens.

Not to be confused:
    Too little text for any vocabulary looks alike; a high loss by itself is no sign, since a
    token of a larger vocabulary carries more text.

Proof:
    A quarter of the vocabulary over the same bytes of text, compared in bits per byte on the
    same held-out text.

Remedy:
    The smaller vocabulary.

When it is not this:
    The smaller vocabulary needs more bits per byte.

Source:
    Scaling with vocabulary: arXiv 2407.13623.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.doctor.cause import Cause, Change, Expectation, name_of
from descend.doctor.reading import Readings

MANY_RARE = 0.3
"""Share of the vocabulary with under 20 uses; first guess."""
MOSTLY_RARE = 0.5
"""Share of the held-out loss on tokens used under 20 times. Origin: benchmarks/results/doctor/
rare_tokens.json: 0.01 at 512 tokens and 0.39 at 2,048, as good in bits per byte; 0.72 at 6,221,
which was 0.8 worse, while the share of the vocabulary that is rare reads 0.38 at 512 already."""
MOSTLY_TABLES = 0.5
FACTORS = (4, 16)
SMALLEST = 257
"""All bytes and the end of text: the least that RunConfig takes."""


def trial(config: RunConfig, readings: Readings) -> tuple[Change, ...]:
    """Smaller vocabularies."""
    size = config.vocab_size or 0
    sizes = dict.fromkeys(max(size // factor, SMALLEST) for factor in FACTORS)
    return tuple(
        Change(f"a vocabulary of {small:,}", {"vocab_size": small, "vocab_path": None})
        for small in sizes
        if small <= size * LARGEST_SHARE
    )


LARGEST_SHARE = 0.67
"""A change smaller than this would show nothing."""


def cannot_be(config: RunConfig, readings: Readings) -> str | None:
    """Characters and bytes are few already."""
    size = config.vocab_size or 0
    if config.tokenizer != "bpe" or size * LARGEST_SHARE < SMALLEST:
        return f"{size} tokens are about as few as there can be"
    return None


CAUSE = Cause(
    name=name_of(__name__),
    headline="the vocabulary is too large for so little text",
    page=__doc__,
    expects=(
        Expectation(
            "rare_vocabulary",
            MANY_RARE,
            None,
            1.0,
            "is used under 20 times in training",
            outside=1.5,
        ),
        Expectation(
            "rare_loss", MOSTLY_RARE, None, 0.8, "falls on tokens used under 20 times", outside=1.4
        ),
        Expectation(
            "embedding_share", MOSTLY_TABLES, None, 0.2, "is in the tables of tokens", outside=0.7
        ),
    ),
    trial=trial,
    remedy="use a smaller vocabulary",
    cannot_be=cannot_be,
    prior=-0.5,
)
