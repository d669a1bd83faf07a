"""Merges of a tokenizer.json as the scores by which llama.cpp merges a SentencePiece vocabulary.

llama.cpp joins any two neighbors whose union is a token, the token with the highest score first,
and of equal ones the leftmost. `tokenizers` joins the pairs that are listed, the first pair of the
list first. Both do the same where each way to join two tokens to a third is listed, and all ways
to one token stand side by side. Conversions of SentencePiece models are such lists.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from descend.errors import TokenizerError

SPACE_MARK = "\u2581"
"""How a SentencePiece vocabulary spells a space."""


def sentencepiece_scores(
    description: dict[str, Any], tokens: Sequence[str], texts: Set[str]
) -> tuple[list[float], bool]:
    """Return the score of each of `tokens`, and whether a text begins with a space of its own.

    `texts`: the tokens that stand for text. `TokenizerError` where llama.cpp would join others.
    """
    adds_space = _adds_space(description)
    rank: dict[str, int] = {}
    listed: set[tuple[str, str]] = set()
    previous = None
    for merge in description["model"]["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        listed.add((left, right))
        joined = left + right
        if joined != previous:
            if joined in rank:
                raise _error(f"merges to {joined!r} in several places")
            rank[joined] = len(rank)
        previous = joined
    for token in texts:
        for cut in range(1, len(token)):
            pair = (token[:cut], token[cut:])
            if pair[0] in texts and pair[1] in texts and pair not in listed:
                raise _error(f"no merge of {pair[0]!r} and {pair[1]!r}")
    return [-float(rank.get(token, len(rank))) for token in tokens], adds_space


def _adds_space(description: dict[str, Any]) -> bool:
    """Whether the tokenizer puts a space before a text; it must spell spaces as `SPACE_MARK`."""
    normalizer, splitter = description["normalizer"], description["pre_tokenizer"]
    if normalizer is None and splitter is not None:
        is_known = splitter.get("type") == "Metaspace" and splitter.get("split") is False
        if is_known and splitter.get("replacement") == SPACE_MARK:
            return bool(splitter.get("prepend_scheme", "always") != "never")
    if normalizer is not None and splitter is None:
        steps = normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
        replaces = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE_MARK}
        if steps == [replaces]:
            return False
        if steps == [{"type": "Prepend", "prepend": SPACE_MARK}, replaces]:
            return True
    raise _error("another spelling of spaces")


def _error(actual: str) -> TokenizerError:
    return TokenizerError(
        "tokenizer.json", actual, "the merges of a SentencePiece model",
        "export to onnx or safetensors",
    )  # fmt: skip
