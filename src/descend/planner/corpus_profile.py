"""A sample of a corpus in numbers: how much there is, how it tokenizes, how hard it is."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from descend.data.contamination.exact_overlap import exact_overlap_fraction
from descend.data.ngram_baselines import MAX_ORDER, compute_ngram_baselines, kneser_ney_loss
from descend.data.split import Spans
from descend.data.token_store import PreparedCorpus
from descend.data.tokenizer import Tokenizer, TokenizerKind, train_tokenizer

VOCABULARIES = (512, 1024, 2048, 4096, 8192)
"""Sizes weighed against each other."""

MIN_BYTES_PER_TOKEN_OF_VOCABULARY = 40
"""Bytes of training text that a vocabulary needs for each of its tokens: below this most of them
are seen too seldom to be learned."""

SAMPLE_BYTES = 1_000_000
"""Training text on which tokenizers are tried: a second or two."""

COUNTED_BYTES = 100_000
"""Training text that the n-gram baselines counts, and validation text it is scored on: the same for
every corpus, so that its losses compare the texts and not how much of them there is."""

SLICES = 16
"""Places, evenly spread, that a sample is taken from."""

BASELINE_VOCAB_SIZE = 1024


DIFFICULTY_PER_FIVE_GRAM = 1.36
"""Difficulty in units of the 5-gram baseline, with `MIDDLE_COUNTED_BYTES` of training text."""

DIFFICULTY_POWER = 0.038
"""How much more that baseline still gains from text than a network does."""

MIDDLE_COUNTED_BYTES = 400_000

UNIGRAM_EXCESS_OF_PROSE = 0.44
"""By which the unigram baseline of English novels lies above their 5-gram baseline, in units of
their difficulty."""


class CorpusProfile(msgspec.Struct, frozen=True):
    """A corpus, as far as a plan needs to know it."""

    train_bytes: int
    validation_bytes: int
    documents: int
    bytes_per_token: dict[int, float]
    """By size of vocabulary, on validation text."""
    train_bytes_per_token: dict[int, float]
    """The same on training text, where the tokenizer knows the phrases: more, on a small text."""
    unigram: float
    """Bits per byte of knowing how frequent each token is (vocabulary 1,024)."""
    bigram: float
    """Of knowing the token before."""
    trigram: float
    """Of knowing the two tokens before."""
    five_gram: float
    """Of knowing the four tokens before, counted on `five_gram_bytes` of training text."""
    five_gram_bytes: int
    overlap_fraction: float
    """Validation tokens that are copied from the sample of training text."""
    seconds_to_prepare: float
    """Estimate for tokenizing all of the text, once."""

    @property
    def difficulty(self) -> float:
        """How hard the text is, in bits per byte: the unit of the scaling law.

        The 5-gram baseline sees what repeats in a text, and how far its validation text differs
        from its training text. With it four fifths of 20 new texts end within 5.3 % of the law,
        with unigrams and trigrams of 100 kB within 20 % (benchmarks/plan/difficulty.py).
        """
        size = self.five_gram_bytes / MIDDLE_COUNTED_BYTES
        return DIFFICULTY_PER_FIVE_GRAM * self.five_gram * math.pow(size, DIFFICULTY_POWER)

    @property
    def regularity(self) -> float:
        """By how many bits per byte the 5-gram baseline lies further below the unigram baseline
        than in prose: what a run has to learn of this text before the scaling law holds."""
        prose = UNIGRAM_EXCESS_OF_PROSE * self.difficulty
        return max(self.unigram - self.five_gram - prose, 0.0)


def profile_corpus(
    text: PreparedCorpus, kind: TokenizerKind = "bpe", vocabularies: Sequence[int] | None = None,
    given: Tokenizer | None = None,
) -> CorpusProfile:  # fmt: skip
    """Look at a sample of `text`; a few seconds at most, whatever its size.

    With tokenizers of `kind` and these `vocabularies` (None: those that fit the text), or with the
    tokenizer `given`.
    """
    split = text.split
    train = "".join(_slices(text, split.train, SAMPLE_BYTES))
    validation_text = "".join(_slices(text, split.validation, COUNTED_BYTES))
    counted = training_sample(text)
    began = time.perf_counter()
    ratios, train_ratios, baselines, five_gram = {}, {}, None, 0.0
    sizes = vocabularies or fitting_vocabularies(text.train_bytes)
    for vocab_size in sizes if given is None and kind == "bpe" else sizes[:1]:
        tokenizer = given or train_tokenizer(kind, vocab_size, lambda: iter([train]))
        size = vocab_size if given is None and kind == "bpe" else tokenizer.vocab_size
        ids = _ids(tokenizer, validation_text)
        ratios[size] = len(validation_text.encode()) / max(len(ids) - 1, 1)
        learned = _ids(tokenizer, counted)
        train_ratios[size] = len(counted.encode()) / max(len(learned) - 1, 1)
        if size == BASELINE_VOCAB_SIZE or baselines is None:
            baselines = _measure_baselines(learned, ids, tokenizer.vocab_size, ratios[size])
            five_gram = kneser_ney_loss(
                _ids(tokenizer, train), ids, tokenizer.vocab_size, MAX_ORDER
            ) / (math.log(2) * ratios[size])
    seconds = time.perf_counter() - began
    assert baselines is not None
    sample_fraction = len(train.encode()) / max(text.train_bytes, 1)
    return CorpusProfile(
        train_bytes=text.train_bytes,
        validation_bytes=split.validation_bytes,
        documents=len(text.documents),
        bytes_per_token=ratios,
        train_bytes_per_token=train_ratios,
        unigram=baselines[0],
        bigram=baselines[1],
        trigram=baselines[2],
        five_gram=five_gram,
        five_gram_bytes=len(train.encode()),
        overlap_fraction=baselines[3],
        seconds_to_prepare=seconds / len(ratios) / max(sample_fraction, 1e-9),
    )


def training_sample(text: PreparedCorpus) -> str:
    """Return about `COUNTED_BYTES` bytes of the training text, from places spread over it."""
    return "".join(_slices(text, text.split.train, COUNTED_BYTES))


def fitting_vocabularies(train_bytes: int) -> tuple[int, ...]:
    """Return the sizes of vocabulary that `train_bytes` of text can teach; at least the
    smallest."""
    min_bytes_per_token = MIN_BYTES_PER_TOKEN_OF_VOCABULARY
    sizes = tuple(v for v in VOCABULARIES if v * min_bytes_per_token <= train_bytes)
    return sizes or VOCABULARIES[:1]


def _measure_baselines(
    train: np.ndarray, validation: np.ndarray, vocab_size: int, ratio: float
) -> tuple[float, float, float, float]:
    baselines = compute_ngram_baselines(train, validation, vocab_size)
    to_bits = 1 / math.log(2) / ratio
    shared = exact_overlap_fraction(train, validation, baselines.best, ratio)
    return (
        baselines.unigram * to_bits,
        baselines.bigram * to_bits,
        baselines.trigram * to_bits,
        shared,
    )


def _ids(tokenizer: Tokenizer, text: str) -> np.ndarray:
    return np.array([tokenizer.eos_token_id, *tokenizer.encode(text)], dtype=np.int64)


def _slices(text: PreparedCorpus, spans: Spans, max_bytes: int) -> Iterator[str]:
    """About `max_bytes` bytes of `spans`, from `SLICES` places evenly spread over them."""
    lengths = spans[:, 1] - spans[:, 0]
    total = int(lengths.sum())
    if total <= max_bytes:
        for start, end in spans:
            yield text.documents.bytes(start, end).decode("utf-8", "ignore")
        return
    ends = np.cumsum(lengths)
    slice_bytes = max_bytes // SLICES
    for position in np.linspace(0, total - slice_bytes, SLICES).astype(np.int64):
        # A slice goes on through as many documents as it takes.
        first = int(np.searchsorted(ends, position, side="right"))
        last = int(np.searchsorted(ends, position + slice_bytes))
        for number in range(first, min(last, len(spans) - 1) + 1):
            start, end = spans[number]
            begun = int(ends[number] - lengths[number])
            low = start + max(int(position) - begun, 0)
            high = min(end, start + int(position) + slice_bytes - begun)
            yield text.documents.bytes(low, high).decode("utf-8", "ignore")
