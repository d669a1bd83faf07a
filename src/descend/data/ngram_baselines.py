"""N-gram baselines: the losses of count models, which any network must beat.

All losses are means over the same targets that a network is scored on: every validation
token but the first, which nothing predicts. Nats per token; natural logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from descend.errors import CorpusError, TokenizerError

Tokens = npt.NDArray[np.integer[Any]]
Ids = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.floating[Any]]

MAX_TRAIN_TOKENS = 5_000_000
"""Only the first so many training tokens are counted, which bounds memory and time. With more text
the true baselines lie somewhat lower than those given."""

MAX_VALIDATION_TOKENS = 1_000_000
"""Tokens of the validation text that the baselines use: some 60 bytes each are needed, and
the mean over a million is known to a few thousandths of a nat."""

BASELINE_ORDER = 3
MAX_ORDER = 5


@dataclass(frozen=True, slots=True)
class NgramBaselines:
    """Validation losses of ever better counting models (nats per token)."""

    uniform: float
    """ln V: every token equally likely."""
    unigram: float
    """Token frequencies; a model no better than this does not use its context at all."""
    bigram: float
    """Interpolated Kneser-Ney on the one token before."""
    trigram: float
    """The same on the two tokens before."""
    unigram_accuracy: float | None = None
    """Fraction of tokens that are the most common one of training. None in older records."""
    bigram_accuracy: float | None = None
    """Fraction of tokens that most often follow the one before them in training."""

    @property
    def accuracies(self) -> dict[str, float]:
        """The accuracies by name of the model, `unigram` and `bigram`; empty in older records."""
        named = {"unigram": self.unigram_accuracy, "bigram": self.bigram_accuracy}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def best(self) -> float:
        """The lowest that counting reaches: in little text that need not be the longest context."""
        return min(self.unigram, self.bigram, self.trigram)


@dataclass(frozen=True, slots=True, eq=False)
class _NgramTable:
    """The different n-grams of one order in training, n >= 1."""

    keys: Ids  # sorted; (number of the first n-1 tokens) * V + last token
    counts: npt.NDArray[np.int32]  # how often each stands in training
    continuations: npt.NDArray[np.int32]  # how many different tokens stand before it, N1+(. gram)


def compute_ngram_baselines(train: Tokens, validation: Tokens, vocab_size: int) -> NgramBaselines:
    """Uniform, unigram, bigram and trigram loss on `validation[1:]` (nats per token).

    The unigram adds one half to each count, p(w) = (c(w) + 1/2) / (N + V/2), the estimator
    of Krichevsky and Trofimov (1981); the others are those of `ngram_probabilities`. The accuracies
    are those of always guessing the likeliest token.
    At most `MAX_TRAIN_TOKENS` training tokens are counted, and `MAX_VALIDATION_TOKENS` evaluated.

    `CorpusError` for fewer than 2 validation tokens, `TokenizerError` for tokens outside
    the vocabulary.
    """
    validation_tokens = validation[:MAX_VALIDATION_TOKENS]
    counted, scored = _validate_tokens(train, validation_tokens, vocab_size)
    counts = np.bincount(counted, minlength=vocab_size)
    unigram = (counts[scored[1:]] + 0.5) / (len(counted) + vocab_size / 2)
    grams = _count(counted, vocab_size, BASELINE_ORDER)
    return NgramBaselines(
        uniform=math.log(vocab_size),
        unigram=_loss(unigram),
        bigram=_loss(_kneser_ney(grams[:2], scored, vocab_size)),
        trigram=_loss(_kneser_ney(grams[:3], scored, vocab_size)),
        unigram_accuracy=float((scored[1:] == counts.argmax()).mean()),
        bigram_accuracy=float((scored[1:] == _followers(grams, counts)[scored[:-1]]).mean()),
    )


def _followers(grams: Sequence[_NgramTable], counts: Ids) -> Ids:
    """Return, of each token, the one that most often follows it; the most common one after a token
    that nothing followed."""
    followers = np.full(len(counts), counts.argmax(), dtype=np.int64)
    if len(grams) > 1:
        by_count = np.argsort(grams[1].counts, kind="stable")
        keys = grams[1].keys[by_count]
        # Of several values for one index, numpy keeps the last: the one with the highest count.
        followers[grams[0].keys[keys // len(counts)]] = keys % len(counts)
    return followers


def kneser_ney_loss(train: Tokens, validation: Tokens, vocab_size: int, order: int) -> float:
    """Return the loss of interpolated Kneser-Ney of the given order on `validation[1:]` (nats a
    token).

    Errors as in `ngram_baselines`; `ValueError` for an order outside 1 to 5.
    """
    return _loss(ngram_probabilities(train, validation, vocab_size, order))


def ngram_probabilities(
    train: Tokens, validation: Tokens, vocab_size: int, order: int
) -> Probabilities:
    """Return the probability of each of `validation[1:]` given the up to `order - 1` tokens before.

    Interpolated Kneser-Ney (Kneser and Ney 1995, as in Chen and Goodman 1998, section 2.7):

        p(w | h) = max(c(hw) - D, 0) / c(h.) + D N1+(h.) / c(h.) p(w | h less its first token)

    with c the count at the highest order and, below it, the number of different tokens that
    stand before hw; c(h.) its sum and N1+(h.) the number of w with c(hw) > 0. Below one
    token stands the uniform distribution, so every probability is positive and they sum to
    1 over the vocabulary. D = n1 / (n1 + 2 n2) for each order (Ney et al. 1994), with n1, n2
    the n-grams seen once and twice. A context never seen passes on to the shorter one.
    """
    if not 1 <= order <= MAX_ORDER:
        raise ValueError(f"order: found {order}, expected 1 to {MAX_ORDER}")
    counted, scored = _validate_tokens(train, validation, vocab_size)
    return _kneser_ney(_count(counted, vocab_size, order), scored, vocab_size)


def _validate_tokens(train: Tokens, validation: Tokens, vocab_size: int) -> tuple[Tokens, Ids]:
    train, validation = np.asarray(train[:MAX_TRAIN_TOKENS]), np.asarray(validation)
    if len(validation) < 2:
        raise CorpusError(
            "validation text", f"{len(validation)} tokens", "at least 2",
            "use more text or raise validation_fraction",
        )  # fmt: skip
    for name, tokens in (("training text", train), ("validation text", validation)):
        if len(tokens) and not 0 <= tokens.min() <= tokens.max() < vocab_size:
            raise TokenizerError(
                name, f"tokens {tokens.min()} to {tokens.max()}",
                f"0 to {vocab_size - 1}, the vocabulary", "tokenize it with this vocabulary",
            )  # fmt: skip
    return train, validation.astype(np.int64)


def _loss(probabilities: Probabilities) -> float:
    return -float(np.log(probabilities).mean())


def _count(train: Tokens, vocab_size: int, order: int) -> list[_NgramTable]:
    """Return the n-grams of order 1 to `order`, as far as the text is long enough to have any.

    An n-gram is numbered by its place among the sorted keys of its order; its key is the
    number of its first n-1 tokens times V plus its last token, below 2^63 for any size here.
    """
    counted: list[_NgramTable] = []
    # Of the grams one shorter, by their last token: 32 bits, as all that there is one of a token.
    numbers = np.zeros(len(train) + 1, dtype=np.int32)
    for n in range(1, min(order, len(train)) + 1):
        all_keys = numbers[:-1].astype(np.int64)
        all_keys *= vocab_size
        all_keys += train[n - 1 :]
        all_keys, by_key = _sorted(all_keys)
        starts = np.ones(len(all_keys), dtype=np.bool_)
        np.not_equal(all_keys[1:], all_keys[:-1], out=starts[1:])
        edges = np.flatnonzero(starts)
        keys, counts = all_keys[edges], np.diff(edges, append=len(all_keys)).astype(np.int32)
        del all_keys
        if counted:
            # Each n-gram is one token before the (n-1)-gram that ends where it ends.
            shorter = counted[-1]
            ends = np.bincount(numbers[1:][by_key[edges]], minlength=len(shorter.keys))
            counted[-1] = _NgramTable(shorter.keys, shorter.counts, ends.astype(np.int32))
        counted.append(_NgramTable(keys, counts, np.zeros_like(counts)))
        numbers = np.empty(len(by_key), dtype=np.int32)
        indices = np.cumsum(starts, dtype=np.int32)
        indices -= 1
        numbers[by_key] = indices
    return counted


def _sorted(keys: Ids) -> tuple[Ids, npt.NDArray[np.int32]]:
    """Return the keys in order, in their own memory, and where each stood; not stable."""
    bits = len(keys).bit_length()
    if int(keys.max()) >= 2 ** (63 - bits):
        by_key = np.argsort(keys).astype(np.int32)
        return keys[by_key], by_key
    # Key and place in one number, sorted in place: a fraction of an argsort's time and memory.
    keys <<= bits
    keys |= np.arange(len(keys), dtype=np.int32)
    keys.sort()
    order = np.bitwise_and(keys, 2**bits - 1, dtype=np.int64).astype(np.int32)
    keys >>= bits
    return keys, order


def _kneser_ney(grams: Sequence[_NgramTable], validation: Ids, vocab_size: int) -> Probabilities:
    """Return the probabilities of `ngram_probabilities`; the last of `grams` is the highest
    order."""
    targets = validation[1:]
    p: Probabilities = np.full(len(targets), 1.0 / vocab_size)
    # The number of each target's context, the n-1 tokens before it; -1 if training lacks it.
    contexts = np.zeros(len(targets), dtype=np.int64)
    for n, gram in enumerate(grams, start=1):
        counts = gram.counts if n == len(grams) else gram.continuations
        of = gram.keys // vocab_size
        total = np.bincount(of, weights=counts)
        kinds = np.bincount(of, weights=counts > 0)
        known = (contexts >= 0) & (contexts < len(total))
        known[known] = total[contexts[known]] > 0
        context = contexts[known]
        index = _find(gram.keys, context * vocab_size + targets[known])
        hits = np.where(index >= 0, counts[index], 0)
        discount = _discount(counts)
        passed_on = discount * kinds[context] / total[context]
        p[known] = np.maximum(hits - discount, 0) / total[context] + passed_on * p[known]
        # The next context: this one as it stood a token earlier, and the token before the
        # target. The first target has no token earlier than that one.
        earlier = np.concatenate(([0 if n == 1 else -1], contexts[:-1]))
        context_indices = _find(gram.keys, earlier * vocab_size + validation[:-1])
        contexts = np.where(earlier >= 0, context_indices, -1)
    return p


def _find(keys: Ids, queries: Ids) -> Ids:
    """Index of each requested key among the sorted keys; -1 where it is not."""
    index = np.minimum(np.searchsorted(keys, queries), len(keys) - 1)
    return np.where(keys[index] == queries, index, -1)


def _discount(counts: npt.NDArray[np.int32]) -> float:
    """n1 / (n1 + 2 n2), kept off 0 and 1, where unseen (seen) n-grams would get nothing."""
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    if not once:
        return 0.1
    return min(once / (once + 2 * twice), 0.95)
