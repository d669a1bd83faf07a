"""Write the built-in corpus `stories`: what the grammar of `languages.stories` makes of one seed.

    python benchmarks/diagnosis/write_stories.py

The package ships the text, `src/descend/data/stories.jsonl.xz`; who changes the grammar or the seed
raises `STORIES_FINGERPRINT` of `descend.data.builtin_corpora` as well.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path

from languages.stories import generate_stories, stories_entropy

SEED = 20_240_229
COUNT = 2_000

FILE = Path(__file__).parents[2] / "src" / "descend" / "data" / "stories.jsonl.xz"


def story_lines() -> bytes:
    """One JSON object a story, with its text."""
    texts = (text for text, _ in generate_stories(SEED, COUNT))
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def main() -> None:
    content = story_lines()
    FILE.write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
    print(f"{FILE.name}: {FILE.stat().st_size:,} of {len(content):,} bytes")
    print(f"entropy: {stories_entropy().bits_per_byte:.4f} bits per byte")


if __name__ == "__main__":
    main()
