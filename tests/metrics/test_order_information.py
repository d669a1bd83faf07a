"""What the order of a text tells, of noise and of text."""

from __future__ import annotations

import math
import random
import string

import pytest

from descend.diagnosis.causes.noise_floor import TELLING
from descend.metrics.order_information import measure_order

SIZE = 100_000
PICK = random.Random(5)
LEXICON = ["".join(PICK.choices(string.ascii_lowercase, k=PICK.randrange(2, 8))) for _ in range(60)]


def nats(text: str) -> float:
    order = measure_order(text.encode())
    assert order is not None
    return order.nats


def noise() -> dict[str, str]:
    rng = random.Random(1)
    names = ["".join(rng.choices(string.ascii_lowercase, k=6)) for _ in range(2000)]
    return {
        "characters": "".join(rng.choices(string.ascii_letters + " .,;", k=SIZE)),
        "lines": "\n".join("".join(rng.choices("0123456789abcdef", k=64)) for _ in range(1500)),
        "words of a small lexicon": " ".join(rng.choices(LEXICON, k=SIZE // 6)),
        "words of a large lexicon": " ".join(rng.choices(names, k=SIZE // 7)),
        "words of Zipf frequencies": " ".join(
            rng.choices(LEXICON, [1 / n for n in range(1, 61)], k=SIZE // 6)
        ),
    }


@pytest.mark.parametrize("kind", noise())
def test_order_of_noise_tells_nothing(kind: str) -> None:
    assert nats(noise()[kind]) < TELLING


def test_order_of_text_tells_more_than_that_of_its_shuffled_words() -> None:
    rng = random.Random(2)
    after = {word: rng.sample(LEXICON, 12) for word in LEXICON}
    words = [LEXICON[0]]
    while len(words) < SIZE // 6:
        words.append(rng.choice(after[words[-1]]))
    lines = [" ".join(words[n : n + 12]) for n in range(0, len(words), 12)]
    assert nats("\n".join(lines)) > 5 * TELLING
    rng.shuffle(lines)
    assert nats("\n".join(lines)) > 5 * TELLING  # sentences in random order are text
    rng.shuffle(words)
    assert nats(" ".join(words)) < TELLING


def test_floor_is_the_entropy_of_the_units() -> None:
    order = measure_order(" ".join(random.Random(3).choices(LEXICON, k=20_000)).encode())
    assert order is not None
    mean_bytes = sum(map(len, LEXICON)) / len(LEXICON) + 1
    assert order.floor_bits_per_byte == pytest.approx(math.log2(60) / mean_bytes, rel=0.02)
    letters = measure_order("".join(random.Random(4).choices("abcd", k=SIZE)).encode())
    assert letters is not None
    assert letters.floor_bits_per_byte == pytest.approx(2.0, rel=0.01)


def test_empty_text_has_no_order() -> None:
    assert measure_order(b"") is None
