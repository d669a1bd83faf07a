"""Nested brackets: a language that rewards whoever remembers what is still open."""

from __future__ import annotations

import random

PAIRS = ("ab", "cd", "ef")
"""What opens and closes, spelled as letters."""
MAX_DEPTH = 6
OPEN_CHANCE = 0.5


def sample_brackets(count: int, seed: int, noise: float) -> str:
    """Return `count` letters. Each closes the innermost open bracket or opens one of three kinds
    with equal chance. With chance `noise` a letter is replaced by any of the six."""
    rng = random.Random(seed)
    letters = "".join(PAIRS)
    still_open: list[str] = []
    text = []
    for _ in range(count):
        opens = not still_open or (len(still_open) < MAX_DEPTH and rng.random() < OPEN_CHANCE)
        if opens:
            pair = rng.choice(PAIRS)
            still_open.append(pair[1])
            letter = pair[0]
        else:
            letter = still_open.pop()
        text.append(rng.choice(letters) if rng.random() < noise else letter)
    return "".join(text)
