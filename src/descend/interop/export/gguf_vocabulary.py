"""The vocabulary of a GGUF file: the two kinds of tokenizer of llama.cpp that fit ours.

`bpe` and `byte` tokenizers are byte-level BPE with GPT-2's split into words, which llama.cpp
calls `gpt2` with the pre-tokenizer `gpt-2`. A `char` tokenizer has an id for each character and
one for each byte, which llama.cpp reads as a SentencePiece vocabulary (`llama`) without merges.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from descend.data.tokenizer import END_OF_TEXT, Tokenizer
from descend.errors import TokenizerError

# Values of `gguf.TokenType`, which is llama.cpp's `llama_token_attr` as written to files.
NORMAL, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 3, 4, 5, 6

SPACE_MARK = "\u2581"
"""How a SentencePiece vocabulary spells a space."""

UNUSED_MERGE = f"{END_OF_TEXT} {END_OF_TEXT}"
"""llama.cpp demands merges. Text never becomes the end token, so that this one never applies."""


@dataclass(frozen=True)
class GgufVocabulary:
    """The tokenizer of a GGUF file; the index of a token is its id."""

    model: str
    """`gpt2` or `llama`, as `tokenizer.ggml.model`."""
    pre_tokenizer: str
    tokens: list[str]
    types: list[int]
    merges: list[str]
    """Empty for `llama`."""


def gguf_vocabulary(tokenizer: Tokenizer) -> GgufVocabulary:
    """Translate `tokenizer`; `TokenizerError` for one that llama.cpp would read differently."""
    description = json.loads(tokenizer.backend.to_str())
    vocabulary = tokenizer.backend.get_vocab(with_added_tokens=True)
    added = {token["content"] for token in description["added_tokens"]}
    tokens = [f"[UNUSED{i}]" for i in range(tokenizer.vocab_size)]
    types = [UNUSED] * len(tokens)
    is_byte_level = _check_kind(description)
    for token, i in vocabulary.items():
        tokens[i] = token
        types[i] = CONTROL if token == END_OF_TEXT else USER_DEFINED if token in added else NORMAL
    if is_byte_level:
        merges = [m if isinstance(m, str) else " ".join(m) for m in description["model"]["merges"]]
        return GgufVocabulary("gpt2", "gpt-2", tokens, types, merges or [UNUSED_MERGE])
    if SPACE_MARK in vocabulary:
        raise _tokenizer_error(
            f"the character {SPACE_MARK} (U+2581), by which llama.cpp means a space",
            "use a bpe or byte tokenizer, or export to onnx or safetensors",
        )
    for i, token in enumerate(tokens):
        if types[i] == NORMAL and len(token) == len("<0x41>"):
            types[i] = BYTE
        elif token == " ":
            tokens[i] = SPACE_MARK
    return GgufVocabulary("llama", "default", tokens, types, [])


def _check_kind(description: dict[str, Any]) -> bool:
    """Return whether the tokenizer is byte-level BPE and not one of characters."""
    model, splitter = description["model"], description["pre_tokenizer"] or {}
    if model["type"] != "BPE" or description["normalizer"] is not None:
        kind = model["type"] if model["type"] != "BPE" else "a normalizer"
        raise _tokenizer_error(kind, "export to onnx or safetensors")
    if splitter.get("type") == "ByteLevel" and splitter.get("use_regex", True):
        if splitter.get("add_prefix_space"):
            raise _tokenizer_error("add_prefix_space true", "export to onnx or safetensors")
        return True
    if model.get("byte_fallback") and not model["merges"] and splitter.get("type") == "Split":
        return False
    raise _tokenizer_error(
        f"the pre-tokenizer {splitter.get('type')!r}", "export to onnx or safetensors"
    )


def _tokenizer_error(actual: str, fix: str) -> TokenizerError:
    return TokenizerError(
        "tokenizer.json", actual, "a tokenizer of descend or the byte-level BPE of GPT-2", fix
    )
