"""The vocabulary of a GGUF file: the kinds of tokenizer that llama.cpp reads as they are.

`bpe` and `byte` tokenizers are byte-level BPE with GPT-2's split into words, which llama.cpp
calls `gpt2` with the pre-tokenizer `gpt-2`. Llama 3 and Qwen split otherwise (`llama-bpe`,
`qwen2`). A `char` tokenizer has an id for each character and one for each byte, which llama.cpp
reads as a SentencePiece vocabulary (`llama`) without merges. Llama 2 and early Mistral have such
a vocabulary with merges (`sentencepiece_scores`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from descend.data.tokenizer import END_OF_TEXT, Tokenizer
from descend.errors import TokenizerError
from descend.interop.export.sentencepiece_scores import SPACE_MARK, sentencepiece_scores

# Values of `gguf.TokenType`, which is llama.cpp's `llama_token_attr` as written to files.
NORMAL, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 3, 4, 5, 6

UNUSED_MERGE = f"{END_OF_TEXT} {END_OF_TEXT}"
"""llama.cpp demands merges. Text never becomes the end token, so that this one never applies."""

_FIX = "export to onnx or safetensors"

_TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_HEAD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
SPLITS = {
    _HEAD + r"\p{N}{1,3}" + _TAIL: "llama-bpe",
    _HEAD + r"\p{N}" + _TAIL: "qwen2",
}
"""The pattern of a `Split` before byte-level BPE, and what llama.cpp calls it."""


@dataclass(frozen=True)
class GgufVocabulary:
    """The tokenizer of a GGUF file; the index of a token is its id."""

    model: str
    """`gpt2` or `llama`, as `tokenizer.ggml.model`."""
    pre_tokenizer: str
    tokens: list[str]
    types: list[int]
    merges: list[str] = field(default_factory=list)
    """Empty for `llama`."""
    scores: list[float] = field(default_factory=list)
    """What merges first in `llama`: the highest."""
    adds_space: bool = False
    """Whether a space is put before a text."""


def gguf_vocabulary(tokenizer: Tokenizer) -> GgufVocabulary:
    """Translate `tokenizer`; `TokenizerError` for one that llama.cpp would read differently."""
    description = json.loads(tokenizer.backend.to_str())
    tokens, types = _tokens_and_types(tokenizer, description)
    model = description["model"]
    if model["type"] != "BPE":
        raise _tokenizer_error(model["type"], _FIX)
    if (split := _byte_level_split(description)) is not None:
        if bool(model.get("ignore_merges")) != (split == "llama-bpe"):
            raise _tokenizer_error(f"ignore_merges {model.get('ignore_merges')!r}", _FIX)
        merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
        return GgufVocabulary("gpt2", split, tokens, types, merges or [UNUSED_MERGE])
    if not model.get("byte_fallback"):
        kind = (description["pre_tokenizer"] or {}).get("type")
        raise _tokenizer_error(f"the pre-tokenizer {kind!r}", _FIX)
    types = [
        BYTE if kind == NORMAL and len(token) == len("<0x41>") and token.startswith("<0x") else kind
        for token, kind in zip(tokens, types, strict=True)
    ]
    if model["merges"]:
        texts = {t for t, kind in zip(tokens, types, strict=True) if kind == NORMAL}
        scores, adds_space = sentencepiece_scores(description, tokens, texts)
        return GgufVocabulary("llama", "default", tokens, types, [], scores, adds_space)
    if (description["pre_tokenizer"] or {}).get("type") != "Split" or description["normalizer"]:
        raise _tokenizer_error("another split of characters", _FIX)
    if SPACE_MARK in tokens:
        raise _tokenizer_error(
            f"the character {SPACE_MARK} (U+2581), by which llama.cpp means a space",
            "use a bpe or byte tokenizer, or export to onnx or safetensors",
        )
    tokens = [SPACE_MARK if token == " " else token for token in tokens]
    return GgufVocabulary("llama", "default", tokens, types, [], [0.0] * len(tokens))


def _tokens_and_types(
    tokenizer: Tokenizer, description: dict[str, Any]
) -> tuple[list[str], list[int]]:
    """Return each token by its id, and what llama.cpp calls its type."""
    added = {token["content"]: token for token in description["added_tokens"]}
    tokens = [f"[UNUSED{i}]" for i in range(tokenizer.vocab_size)]
    types = [UNUSED] * len(tokens)
    for token, i in tokenizer.backend.get_vocab(with_added_tokens=True).items():
        tokens[i] = token
        if token == tokenizer.end_token:
            types[i] = CONTROL
        elif token in added:
            types[i] = CONTROL if added[token]["special"] else USER_DEFINED
        else:
            types[i] = NORMAL
    return tokens, types


def _byte_level_split(description: dict[str, Any]) -> str | None:
    """Return what llama.cpp calls the split into words of byte-level BPE; None for another
    tokenizer."""
    splitter = description["pre_tokenizer"] or {}
    parts = splitter["pretokenizers"] if splitter.get("type") == "Sequence" else [splitter]
    last = parts[-1] if parts else {}
    if last.get("type") != "ByteLevel":
        return None
    if last.get("add_prefix_space"):
        raise _tokenizer_error("add_prefix_space true", _FIX)
    normalizer = (description["normalizer"] or {}).get("type")
    if len(parts) == 1 and last.get("use_regex", True) and normalizer is None:
        return "gpt-2"
    if len(parts) == 2 and parts[0].get("type") == "Split" and not last.get("use_regex", True):
        first = parts[0]
        name = SPLITS.get(first["pattern"].get("Regex", ""))
        # Qwen composes characters first (NFC). llama.cpp leaves that out, as its converter does.
        allowed = (None, "NFC") if name == "qwen2" else (None,)
        if name and first["behavior"] == "Isolated" and not first["invert"]:
            if normalizer in allowed:
                return name
            raise _tokenizer_error(f"the normalizer {normalizer!r}", _FIX)
    raise _tokenizer_error("another split into words", _FIX)


def _tokenizer_error(actual: str, fix: str) -> TokenizerError:
    return TokenizerError(
        "tokenizer.json", actual,
        "a tokenizer of descend, GPT-2, Llama, Mistral, or Qwen as llama.cpp knows it", fix,
    )  # fmt: skip
