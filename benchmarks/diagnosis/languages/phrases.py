"""Short sentences of a small grammar, in which verb and subject agree in number."""

from __future__ import annotations

import random

NOUNS = ("dog", "child", "river", "teacher", "boat", "king")
ADJECTIVES = ("old", "quiet", "green", "angry")
VERBS = ("see", "follow", "carry", "paint", "forget")
PLACES = ("near the gate", "in winter", "by the sea")
MODIFIED = 0.4
"""Chance of an adjective before a noun, of a second noun after it, and of a place at the end."""


def sample_phrases(count: int, seed: int, noise: float) -> str:
    """Return about `count` letters of sentences. With chance `noise` a word is any of the
    language."""
    rng = random.Random(seed)
    vocabulary = sorted({*NOUNS, *ADJECTIVES, *VERBS, "the", "a", "of"})
    sentences: list[str] = []
    length = 0
    while length < count:
        words = _sentence(rng)
        sentence = " ".join(rng.choice(vocabulary) if rng.random() < noise else w for w in words)
        sentences.append(sentence)
        length += len(sentence) + 2
    return ". ".join(sentences)


def _sentence(rng: random.Random) -> list[str]:
    is_plural = rng.random() < 0.5
    verb = rng.choice(VERBS)
    words = _noun_phrase(rng, is_plural)
    if rng.random() < MODIFIED:
        words += ["of", *_noun_phrase(rng, rng.random() < 0.5)]
    words += [verb if is_plural else verb + "s", *_noun_phrase(rng, rng.random() < 0.5)]
    return words + (rng.choice(PLACES).split() if rng.random() < MODIFIED else [])


def _noun_phrase(rng: random.Random, is_plural: bool) -> list[str]:
    adjective = [rng.choice(ADJECTIVES)] if rng.random() < MODIFIED else []
    noun = rng.choice(NOUNS)
    return ["the" if is_plural else "a", *adjective, noun + ("s" if is_plural else "")]
