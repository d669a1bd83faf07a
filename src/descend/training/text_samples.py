"""Text that the model writes while it trains, after prompts from validation text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from descend.data.token_store import TokenStore
from descend.data.tokenizer import Tokenizer
from descend.model.generation import collect_completions, generate_text
from descend.model.sampling import SamplingOptions
from descend.model.transformer import Transformer
from descend.runs.events import Sample

PROMPTS = 3
PROMPT_TOKENS = 16
SAMPLE_TOKENS = 80
WINDOW = 4 * PROMPT_TOKENS
"""Tokens of validation text in which a prompt is looked for."""


def validation_prompts(store: TokenStore) -> list[str]:
    """Return `PROMPTS` beginnings, evenly spread over the validation text, each of one document and
    starting at a word."""
    tokens = store.validation
    starts = np.linspace(0, max(0, len(tokens) - WINDOW), PROMPTS).astype(int)
    return [_prompt(tokens[start : start + WINDOW], store.tokenizer) for start in starts]


def _prompt(window: NDArray[np.unsignedinteger], tokenizer: Tokenizer) -> str:
    """Return a beginning from the longest piece of a document in `window`: decoded together, the
    end of one document and the next would read as one text."""
    ends = np.flatnonzero(window == tokenizer.eos_token_id)
    documents = np.split(window, ends)
    document_index = max(range(len(documents)), key=lambda n: len(documents[n]))
    text = tokenizer.decode(documents[document_index].tolist())
    if document_index == 0:
        # A window begins anywhere, even inside a character: begin with the next word instead.
        text = text.lstrip("\ufffd").partition(" ")[2].lstrip() or text
    ids = tokenizer.encode(text)
    # Of a document that ends here half is left for the model to write.
    max_tokens = (
        min(PROMPT_TOKENS, -(-len(ids) // 2)) if document_index < len(ends) else PROMPT_TOKENS
    )
    return tokenizer.decode(ids[:max_tokens]).rstrip("\ufffd")


def generate_sample(
    model: Transformer, store: TokenStore, prompt: str, *, step: int, context: int, seed: int
) -> Sample:
    """Return what `model` writes after `prompt` with the default settings; changes nothing in
    it."""
    chunks = generate_text(
        model, store.tokenizer, [prompt], SamplingOptions(),
        max_new_tokens=SAMPLE_TOKENS, seed=seed, context=context,
    )  # fmt: skip
    return Sample(step, prompt, collect_completions(chunks, 1)[0].text)
