"""Ladders: short lines whose first letter says by how much each next letter climbs."""

from __future__ import annotations

import random
import string

NUM_LETTERS = 7
LENGTH = 12
"""Letters of a line."""
LINE_END = "z"


def sample_ladders(count: int, seed: int, noise: float) -> str:
    """Return `count` letters: lines of a step, a start, and letters that climb by that step,
    modulo `NUM_LETTERS`. With chance `noise` a letter of a line is any other."""
    rng = random.Random(seed)
    text: list[str] = []
    while len(text) < count:
        step, place = rng.randrange(1, NUM_LETTERS), rng.randrange(NUM_LETTERS)
        text.append(string.ascii_lowercase[step])
        for _ in range(LENGTH):
            drawn = rng.randrange(NUM_LETTERS) if rng.random() < noise else place
            text.append(string.ascii_lowercase[drawn])
            place = (place + step) % NUM_LETTERS
        text.append(LINE_END)
    return "".join(text[:count])
