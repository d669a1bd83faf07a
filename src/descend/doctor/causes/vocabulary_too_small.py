"""The vocabulary is too small.

What it is:
    Text is cut into pieces so short that the model spends its depth and its context on
    spelling.

How it shows:
    Few bytes to a token; hardly any rare tokens.

Not to be confused:
    The loss per token looks low, since each token carries little: only bits per byte can be
    compared.

Proof:
    Four times the vocabulary over the same bytes of text, compared in bits per byte on the same
    held-out text.

Remedy:
    The larger vocabulary.

When it is not this:
    The larger vocabulary needs more bits per byte.

Source:
    Scaling with vocabulary: arXiv 2407.13623.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.doctor.cause import Cause, Change, Expectation, name_of
from descend.doctor.reading import Readings, value

SHORT_TOKENS = 2.3
"""Bytes per token; a vocabulary of 257 has 1, of 512 about 1.9, of 4,096 about 3.3 in English."""
FEW_RARE = 0.1
FACTOR = 4
FIRST_PIECES = 512


def trial(config: RunConfig, readings: Readings) -> tuple[Change, ...]:
    """Four and sixteen times the vocabulary; of characters or bytes, pieces instead."""
    size = config.vocab_size or 0
    if config.tokenizer != "bpe":
        sizes = [max(FIRST_PIECES, FACTOR * size), FACTOR * max(FIRST_PIECES, FACTOR * size)]
    else:
        sizes = [FACTOR * size, FACTOR * FACTOR * size]
    most = value(readings, "train_tokens", 1e12) / LEAST_USES
    return tuple(
        Change(
            f"a vocabulary of {large:,}",
            {"vocab_size": large, "tokenizer": "bpe", "vocab_path": None},
        )
        for large in sizes
        if large <= most
    )


LEAST_USES = 20
"""Tokens of text for each token of the vocabulary under which most would be rare."""


def cannot_be(config: RunConfig, readings: Readings) -> str | None:
    """A vocabulary that is mostly rare cannot be too small."""
    rare = value(readings, "rare_vocabulary")
    if rare > TOO_RARE:
        return f"{rare:.0%} of the vocabulary is used under 20 times in training already"
    return None


TOO_RARE = 0.5

CAUSE = Cause(
    name=name_of(__name__),
    headline="the vocabulary is too small",
    page=__doc__,
    expects=(
        Expectation(
            "bytes_per_token", None, SHORT_TOKENS, 0.5, "bytes to a token are few", outside=0.9
        ),
        Expectation(
            "rare_vocabulary", None, FEW_RARE, 0.9, "of the vocabulary is rare", outside=1.2
        ),
    ),
    trial=trial,
    remedy="use a larger vocabulary",
    cannot_be=cannot_be,
    prior=-0.3,
)
