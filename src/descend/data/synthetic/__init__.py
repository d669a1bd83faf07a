"""Languages of exactly known entropy rate, a file each: what the best possible loss is."""

from __future__ import annotations

from descend.data.synthetic.entropy_rate import EntropyRate
from descend.data.synthetic.stories import VERSION, generate_stories, stories_entropy, stories_nll

__all__ = ["VERSION", "EntropyRate", "generate_stories", "stories_entropy", "stories_nll"]
