"""Somebody's tokenizer: `encode`, `decode` and its size, in the forms that are in use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from descend.program_check.program import Program
from descend.program_check.program_failures import format_exception
from descend.program_check.results import UndeterminedError


@dataclass(frozen=True)
class TokenizerAdapter:
    """What is needed of a tokenizer."""

    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]
    size: int | None


def adapt_tokenizer(program: Program) -> TokenizerAdapter:
    """Return the program's tokenizer; `UndeterminedError` where it is of no known form."""
    tokenizer = program.get("tokenizer")
    encode, decode = getattr(tokenizer, "encode", None), getattr(tokenizer, "decode", None)
    if isinstance(tokenizer, dict):
        encode, decode = tokenizer.get("encode"), tokenizer.get("decode")
    if not callable(encode) or not callable(decode):
        raise UndeterminedError("the tokenizer has no `encode` and `decode`")

    def to_ids(text: str) -> list[int]:
        try:
            try:
                ids = encode(text, add_special_tokens=False)
            except TypeError:
                ids = encode(text)
        except Exception as problem:
            raise UndeterminedError(
                f"the tokenizer raised {format_exception(problem)}"
            ) from problem
        ids = getattr(ids, "ids", ids)
        ids = ids.tolist() if hasattr(ids, "tolist") else ids
        return [int(i) for i in ids]

    def to_text(ids: list[int]) -> str:
        try:
            text = decode(ids)
        except (KeyError, IndexError, ValueError):
            return "\ufffd" * len(ids)  # ids that it does not know
        except Exception as problem:
            raise UndeterminedError(
                f"the tokenizer raised {format_exception(problem)}"
            ) from problem
        return text if isinstance(text, str) else "".join(map(str, text))

    return TokenizerAdapter(to_ids, to_text, _size(tokenizer))


def _size(tokenizer: Any) -> int | None:
    for name in ("get_vocab_size", "vocab_size", "n_vocab", "get_vocab", "vocab", "stoi", "itos"):
        value = getattr(tokenizer, name, None)
        try:
            value = value() if callable(value) else value
        except Exception:
            continue
        if isinstance(value, int) and not isinstance(value, bool):
            return max(value, _length(tokenizer))
        if isinstance(value, dict | list) and value:
            return max(len(value), _length(tokenizer))
    return _length(tokenizer) or None


def _length(tokenizer: Any) -> int:
    """Return `len()`: with transformers' tokenizers it counts tokens that were added later."""
    try:
        return len(tokenizer)
    except Exception:
        return 0
