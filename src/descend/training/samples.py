"""Text that the model writes while it trains, after prompts from held-out text."""

from __future__ import annotations

import numpy as np

from descend.model.generate import complete, generate_text
from descend.model.sampling import SamplingSettings
from descend.model.transformer import Transformer
from descend.runs.records import Sample
from descend.text.store import TokenStore

PROMPTS = 3
PROMPT_TOKENS = 16
SAMPLE_TOKENS = 80


def held_out_prompts(store: TokenStore) -> list[str]:
    """`PROMPTS` beginnings, evenly spread over the held-out text, each starting at a word."""
    tokens, tokenizer = store.validation, store.tokenizer
    starts = np.linspace(0, max(0, len(tokens) - 4 * PROMPT_TOKENS), PROMPTS).astype(int)
    prompts = []
    for start in starts:
        text = tokenizer.decode(tokens[start : start + 4 * PROMPT_TOKENS].tolist())
        # A window begins anywhere, even inside a character: begin with the next word instead.
        words = text.lstrip("\ufffd").partition(" ")[2].lstrip() or text
        prompts.append(tokenizer.decode(tokenizer.encode(words)[:PROMPT_TOKENS]).rstrip("\ufffd"))
    return prompts


def write_sample(
    model: Transformer, store: TokenStore, prompt: str, *, step: int, context: int, seed: int
) -> Sample:
    """What `model` writes after `prompt` with the default settings; changes nothing in it."""
    pieces = generate_text(
        model, store.tokenizer, [prompt], SamplingSettings(),
        max_new_tokens=SAMPLE_TOKENS, seed=seed, context=context,
    )  # fmt: skip
    return Sample(step, prompt, complete(pieces, 1)[0].text)
