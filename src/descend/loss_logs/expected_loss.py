"""Which losses are to be expected: from the vocabulary, and from the text if it is at hand."""

from __future__ import annotations

import math

import msgspec

from descend.config import make_config
from descend.errors import ConfigError

START = (0.95, 1.15)
"""First loss over ln V: an untrained network guesses, and its logits are small but not zero.
1 is
Karpathy's recipe; the width of the band is a first guess."""

MIN_OF_COUNTING = 0.5
"""A small model's loss over what counting triples of tokens reaches: lower is suspicious. A first
guess: networks pass counting by a third or so on little text, and by far only on what repeats."""

MAX_VOCABULARY = 10_000_000


class ExpectedLoss(msgspec.Struct, frozen=True, kw_only=True):
    """Expected losses in nats per token; None where nothing is known. `low` and `high`: of
    validation text after a training that went well."""

    start_low: float | None = None
    start_high: float | None = None
    low: float | None = None
    high: float | None = None
    unigram: float | None = None
    """What counting single tokens reaches: above it the context is not used at all."""
    source: str = "neither vocabulary nor corpus is known, so only the shape of the curve is judged"


UNKNOWN_LEVEL = ExpectedLoss(
    source="the losses are sums, so their level is not known and only the shape is judged"
)
"""Of losses that a program added up and may have divided by any number."""


def expected_loss_range(corpus: str | None, vocab_size: int | None) -> ExpectedLoss:
    """Return the band for a text and a vocabulary; `ConfigError` for a vocabulary that is none."""
    if vocab_size is not None and not 2 <= vocab_size <= MAX_VOCABULARY:
        raise ConfigError(
            "vocab_size", str(vocab_size), f"2 to {MAX_VOCABULARY:,}",
            "give the number of different tokens of the model",
        )  # fmt: skip
    if corpus is not None:
        return _of_text(corpus, vocab_size)
    if vocab_size is None:
        return ExpectedLoss()
    guess = math.log(vocab_size)
    return ExpectedLoss(
        start_low=START[0] * guess,
        start_high=START[1] * guess,
        source=f"random guessing among {vocab_size:,} tokens: ln {vocab_size:,} = {guess:.2f}; how "
        "low the loss can fall depends on the text, which was not given (--corpus)",
    )


def _of_text(corpus: str, vocab_size: int | None) -> ExpectedLoss:
    from descend.training.assembly import tokenize_corpus

    small = vocab_size is not None and vocab_size < 257
    config = make_config(
        {"corpus_dir": corpus, "tokenizer": "char" if small else "bpe"}
        | ({} if small else {"vocab_size": vocab_size})
    )
    info = tokenize_corpus(config).info
    guess = math.log(vocab_size or info.vocab_size)
    baselines = info.ngram_baselines
    return ExpectedLoss(
        start_low=START[0] * guess,
        start_high=START[1] * guess,
        low=MIN_OF_COUNTING * baselines.trigram,
        high=baselines.bigram,
        unigram=baselines.unigram,
        source=f"{info.corpus} in {info.vocab_size:,} tokens of our own tokenizer, on validation "
        f"text: random guessing {guess:.2f}, unigram {baselines.unigram:.2f}, "
        f"bigram {baselines.bigram:.2f}, trigram {baselines.trigram:.2f}; "
        "another tokenizer of the same size gives about the same",
    )
