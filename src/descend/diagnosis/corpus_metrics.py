"""Metrics of the text that a run trained on and is evaluated on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from descend.data.contamination.exact_overlap import (
    ExactOverlap,
    find_exact_overlap,
    min_significant_match_length,
)
from descend.data.contamination.fuzzy_overlap import FuzzyOverlap, Mask, find_fuzzy_overlap
from descend.data.ngram_baselines import kneser_ney_loss
from descend.data.token_store import TokenStore
from descend.metrics import corpus_distribution, loss_breakdown
from descend.metrics.measurement import Measurement
from descend.metrics.mutual_information import mutual_information
from descend.metrics.order_information import measure_order

DISTANCES = [*range(1, 33), 48, 64, 96, 128, 192, 256, 384, 512]
"""Tokens apart, at which the information of one about another is measured."""
RARE = 20
"""Uses in training under which a token counts as rare (vocabulary scaling, arXiv 2407.13623)."""
HIGHEST_ORDER = 4
"""Of the n-gram baselines: above it, in a megabyte or less, nothing more is gained."""

MAX_ORDER_TOKENS = 500_000
"""Tokens of training text whose order is measured."""


@dataclass(frozen=True)
class CorpusCounts:
    """Holds what is counted in a text once, for its own metrics and for those of the model."""

    uses: loss_breakdown.Ids
    """Of each token in training (V,)."""
    fourgram_loss: float
    """Of counting to `HIGHEST_ORDER` (nats per token)."""
    loss: float
    """The lowest that counting reaches (nats per token)."""
    copy_length: int | None
    """Tokens of a run that count as a copy; None: no run tells."""
    copies: ExactOverlap | None
    """Of training text in validation text, word for word."""
    near: FuzzyOverlap | None
    """The same with small changes or none; None: the text has too few words to tell."""

    @property
    def known(self) -> Mask | None:
        """For each validation token, whether it may be memorized; None where nothing tells."""
        masks = [] if self.copies is None else [self.copies.covered]
        if self.near is not None and self.near.excess_fraction_lower_bound > 0:
            masks.append(self.near.covered)
        return np.logical_or.reduce(masks) if masks else None


def count_corpus(store: TokenStore) -> CorpusCounts:
    """Count the tokens of a text, its n-grams, and its contamination."""
    size, baselines = store.tokenizer.vocab_size, store.info.ngram_baselines
    fourgram = kneser_ney_loss(store.train, store.validation, size, HIGHEST_ORDER)
    loss = min(baselines.best, fourgram)
    length = min_significant_match_length(len(store.train), loss, store.bytes_per_token)
    return CorpusCounts(
        uses=np.bincount(np.asarray(store.train), minlength=size),
        fourgram_loss=fourgram,
        loss=loss,
        copy_length=length,
        copies=None
        if length is None
        else find_exact_overlap(store.train, store.validation, length),
        near=find_fuzzy_overlap(store.train, store.validation, store.tokenizer.decode),
    )


def measure_corpus(store: TokenStore, counted: CorpusCounts, seq_len: int) -> Iterator[Measurement]:
    """Yield the metrics of the text, read in sequences of `seq_len` tokens."""
    baselines = store.info.ngram_baselines
    yield Measurement("train_tokens", float(len(store.train)), "tokens")
    yield Measurement("validation_tokens", float(len(store.validation)), "tokens")
    yield Measurement("bytes_per_token", store.bytes_per_token, "bytes")
    # The bytes that stand by for what never comes are no fault.
    used = counted.uses[counted.uses > 0]
    yield Measurement("rare_token_fraction", float((used < RARE).mean()), "of the tokens in use")
    yield Measurement("unigram_loss", baselines.unigram, "nats per token")
    yield Measurement("best_ngram_loss", counted.loss, "nats per token")
    if counted.copies is not None and counted.copy_length is not None:
        yield Measurement(
            "exact_contamination_fraction", counted.copies.fraction, "of validation tokens"
        )
        repeats = corpus_distribution.repeated_ngram_fraction(store.train, counted.copy_length)
        yield Measurement("duplicate_train_fraction", repeats, "of the training text")
    if counted.near is not None:
        word_for_word = counted.copies.fraction if counted.copies is not None else 0.0
        nearly = max(0.0, counted.near.excess_fraction_lower_bound - word_for_word)
        yield Measurement("fuzzy_contamination_fraction", nearly, "of validation passages")
    higher = min(baselines.trigram, counted.fourgram_loss)
    yield Measurement("fourgram_loss_reduction", baselines.bigram - higher, "nats")
    beyond = [d for d in DISTANCES if d > seq_len]
    information = dict(
        zip(DISTANCES, mutual_information(store.train, DISTANCES).tolist(), strict=True)
    )
    yield Measurement("token_mutual_information_nats", max(information.values()), "nats")
    train_text = store.tokenizer.decode(store.train[:MAX_ORDER_TOKENS].tolist()).encode()
    order = measure_order(train_text)
    if order is not None:
        yield Measurement("order_information_nats", order.nats, "nats")
        chance_loss = order.floor_bits_per_byte * math.log(2) * store.bytes_per_token
        yield Measurement("chance_loss", chance_loss, "nats per token")
    if beyond:
        yield Measurement(
            "mutual_information_beyond_context", max(information[d] for d in beyond), "nats"
        )
    shift_nats = validation_shift(store)
    if shift_nats is not None:
        yield Measurement("distribution_shift_nats", shift_nats, "nats")


def validation_shift(store: TokenStore) -> float | None:
    """Return the distribution shift of the validation set, in nats per token, or None.

    Where it is above 0, it is measured in bytes as well, and the smaller of the two counts: a token
    that is hardly ever used is rare in any text, its bytes are not.
    """
    shift_nats = corpus_distribution.distribution_shift_nats(
        store.train, store.validation, store.tokenizer.vocab_size
    )
    if shift_nats is None or shift_nats <= 0:
        return shift_nats
    train, validation_bytes = (
        np.frombuffer(store.tokenizer.decode(part.tolist()).encode(), np.uint8)
        for part in (store.train[: corpus_distribution.MAX_COMPARED], store.validation)
    )
    in_bytes = corpus_distribution.distribution_shift_nats(train, validation_bytes, BYTES)
    return shift_nats if in_bytes is None else min(shift_nats, in_bytes * store.bytes_per_token)


BYTES = 256
"""Values of a byte."""
