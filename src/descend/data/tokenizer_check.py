"""A look at tokenizer.json before the library reads it: nothing in it may cost without bound.

The library is written in Rust and stops the process when memory is refused. A padding of 10^10
tokens, four normalizers that each repeat a letter, or a damaged table of characters do that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from descend.errors import shorten
from descend.guard import decode_json

MAX_BYTES = 2**26
"""Largest tokenizer.json: 64 MiB, twice that of a vocabulary of 256,000 tokens."""

MAX_PARTS = 64
"""Most normalizers, pre-tokenizers and decoders together; published tokenizers have under 10."""

MAX_GROWTH = 16.0
"""Times that normalizers may make a text longer; `Replace` of a space by one sign makes 3."""

MAX_PATTERN = 2000
"""Characters of a pattern; those of GPT-2 to GPT-4 have under 300."""

MAX_ADDED_TOKENS = 1000
"""Tokens that a template puts around a text; published ones put up to four."""

_NORMALIZERS = {"Sequence", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip",
                "Nmt", "BertNormalizer", "ByteLevel", "Replace", "Prepend"}  # fmt: skip


def check_tokenizer(content: bytes) -> str:
    """Return the text of a tokenizer.json without padding and truncation, in which nothing is
    hostile.

    Padding and truncation belong to a batch, not to a text. Raises `ValueError` otherwise; what
    was checked is what is returned, so that a key which stands twice is read once.
    """
    value = decode_json(content, dict[str, Any])
    value["padding"] = value["truncation"] = None
    parts = [
        part
        for key in ("normalizer", "pre_tokenizer", "decoder", "post_processor")
        for part in _parts(value.get(key))
    ]
    if len(parts) > MAX_PARTS:
        raise ValueError(f"{len(parts)} parts, at most {MAX_PARTS}")
    for part in parts:
        _check_pattern(part)
        _check_template(part)
    _check_normalizers(list(_parts(value.get("normalizer"))))
    growth = 1.0
    for part in _parts(value.get("decoder")):
        growth *= _growth(part)
    if growth > MAX_GROWTH:
        raise ValueError(f"a decoder that makes a text {growth:.0f} times as long")
    return msgspec.json.encode(value).decode()


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield each component in `value`, those of a sequence one by one."""
    if isinstance(value, list):
        for item in value:
            yield from _parts(item)
    elif isinstance(value, dict):
        if "type" in value:
            yield value
        for item in value.values():
            if isinstance(item, (dict, list)):
                yield from _parts(item)


def _check_normalizers(parts: list[dict[str, Any]]) -> None:
    growth = 1.0
    for part in parts:
        if part["type"] not in _NORMALIZERS:
            raise ValueError(f"the normalizer {shorten(str(part['type']), 40)}")
        growth *= _growth(part)
    if growth > MAX_GROWTH:
        raise ValueError(f"normalizers that make a text {growth:.0f} times as long")


def _growth(part: dict[str, Any]) -> float:
    """Return times that `part` may make a text longer, in bytes of UTF-8."""
    if part["type"] == "Replace":
        pattern = part.get("pattern")
        literal = pattern.get("String") if isinstance(pattern, dict) else None
        # A regular expression may match a single byte, or nothing.
        matched = len(str(literal).encode()) if literal else 1
        return max(1.0, len(str(part.get("content", "")).encode()) / matched)
    if part["type"] == "Prepend":
        return max(1.0, len(str(part.get("prepend", "")).encode()) / 4)
    return 1.0


def _check_template(part: dict[str, Any]) -> None:
    tokens = part.get("special_tokens")
    if not isinstance(tokens, dict):
        return
    added = {
        name: len(ids)
        for name, token in tokens.items()
        if isinstance(token, dict) and isinstance(ids := token.get("ids"), list)
    }
    for key in ("single", "pair"):
        items = part.get(key)
        specials = [
            item["SpecialToken"]
            for item in (items if isinstance(items, list) else ())
            if isinstance(item, dict) and isinstance(item.get("SpecialToken"), dict)
        ]
        count = sum(added.get(str(special.get("id")), 0) for special in specials)
        if max(count, len(specials)) > MAX_ADDED_TOKENS:
            raise ValueError(f"a template of {count:,} tokens, at most {MAX_ADDED_TOKENS:,}")


def _check_pattern(part: dict[str, Any]) -> None:
    pattern = part.get("pattern")
    texts = pattern.values() if isinstance(pattern, dict) else [pattern]
    for text in texts:
        if isinstance(text, str) and len(text) > MAX_PATTERN:
            raise ValueError(f"a pattern of {len(text):,} characters, at most {MAX_PATTERN:,}")
