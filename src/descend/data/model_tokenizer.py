"""The tokenizer beside a model of another program.

Its own end token separates documents, its own start token stands before prompts, and ids that the
model has and the tokenizer lacks get a name. All of that is written into tokenizer.json, so that
the run that trains the model further needs no other file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from descend.data.tokenizer import (
    END_OF_TEXT,
    END_ROLE,
    START_ROLE,
    Tokenizer,
    load_tokenizer,
    parse_tokenizer,
)
from descend.data.tokenizer_check import MAX_BYTES
from descend.errors import TokenizerError, shorten
from descend.guard import decode_json, read_regular

MAX_UNNAMED = 2**16
"""Most ids without a token; Qwen3 has 267."""

OWN_MODEL_TYPES = ("arcee", "gpt2")
"""Types that descend saves too. More than a fiftieth without a token is another model's tokenizer
there: GPT-2 is padded from 50,257 ids to 50,304 at most."""

_FIX = "use the tokenizer that was saved with the model"


def load_model_tokenizer(folder: Path, config: Mapping[str, Any]) -> Tokenizer:
    """Return the tokenizer in `folder`, of the model whose config.json is `config`.

    `TokenizerError` where it is damaged, or no end token is named.
    """
    file = folder / "tokenizer.json"
    try:
        content = decode_json(read_regular(file, MAX_BYTES), dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return load_tokenizer(folder)  # which says what is wrong
    processor = content.get("post_processor")
    if isinstance(processor, dict) and END_ROLE in (processor.get("special_tokens") or {}):
        return load_tokenizer(folder)
    settings = _read_settings(folder / "tokenizer_config.json")
    try:
        ids = _token_ids(content)
        end = _end_token(settings, config, ids)
        start = _start_tokens(settings, processor)
        vocab_size = config.get("vocab_size")
        is_own = config.get("model_type") in OWN_MODEL_TYPES
        missing = _missing_ids(ids, vocab_size, is_own)
        if end in (None, END_OF_TEXT) and not start and not missing:
            return load_tokenizer(folder)
        end = END_OF_TEXT if end is None else end
        if unknown := [token for token in (end, *start) if token not in ids]:
            raise TokenizerError(
                str(file), f"no {shorten(unknown[0], 40)} token", "the tokens that it names", _FIX
            )
        if missing:
            _name_ids(content, ids, missing)
        content["post_processor"] = _post_processor(end, start, ids)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return load_tokenizer(folder)
    return parse_tokenizer(json.dumps(content).encode(), str(file))


def _read_settings(file: Path) -> dict[str, Any]:
    """Return the content of tokenizer_config.json; empty without one that can be read."""
    try:
        return decode_json(read_regular(file, 2**24), dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return {}


def _token_ids(content: Mapping[str, Any]) -> dict[str, int]:
    ids = dict(content["model"]["vocab"]) if content["model"]["type"] == "BPE" else {}
    return ids | {token["content"]: token["id"] for token in content.get("added_tokens") or ()}


def _end_token(
    settings: Mapping[str, Any], config: Mapping[str, Any], ids: Mapping[str, int]
) -> str | None:
    """Return the token that tokenizer_config.json names, or the first id in config.json."""
    if (named := _token_text(settings.get("eos_token"))) is not None:
        return named
    end_id = config.get("eos_token_id")
    if isinstance(end_id, list) and end_id:
        end_id = end_id[0]
    return next((token for token, index in ids.items() if index == end_id), None)


def _start_tokens(settings: Mapping[str, Any], processor: Any) -> list[str]:
    """Return the tokens that the post-processor puts before a text, or that `add_bos_token` asks
    for."""
    for part in _processors(processor):
        if part.get("type") != "TemplateProcessing":
            continue
        start: list[str] = []
        for piece in part["single"]:
            if "SpecialToken" not in piece:
                break
            start += part["special_tokens"][piece["SpecialToken"]["id"]]["tokens"]
        return start
    first = _token_text(settings.get("bos_token"))
    return [first] if settings.get("add_bos_token") is True and first is not None else []


def _processors(processor: Any) -> list[dict[str, Any]]:
    if not isinstance(processor, dict):
        return []
    if processor.get("type") == "Sequence":
        return [part for each in processor["processors"] for part in _processors(each)]
    return [processor]


def _token_text(value: Any) -> str | None:
    """Return a token as tokenizer_config.json writes it: a text, or an object with its
    `content`."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


def _missing_ids(ids: Mapping[str, int], vocab_size: Any, is_own: bool) -> list[int]:
    """Return ids of the model that no token has; none where they are too many to be padding."""
    if not ids or not isinstance(vocab_size, int):
        return []
    max_missing = min(MAX_UNNAMED, vocab_size // 50) if is_own else MAX_UNNAMED
    if not 0 <= vocab_size - len(ids) <= max_missing:
        return []
    return sorted(set(range(vocab_size)) - set(ids.values()))


def _name_ids(content: dict[str, Any], ids: Mapping[str, int], missing: list[int]) -> None:
    """Name `missing` ids. An added token keeps its id only if the vocabulary holds it too."""
    names = {f"<|unused_{index}|>": index for index in missing}
    content["model"]["vocab"] = dict(ids) | names


def _post_processor(end: str, start: list[str], ids: Mapping[str, int]) -> dict[str, Any]:
    """Start tokens before a text, and the end token between two."""
    pieces = [{"Sequence": {"id": name, "type_id": 0}} for name in "AB"]
    roles = {END_ROLE: [end]} | ({START_ROLE: start} if start else {})
    before = [{"SpecialToken": {"id": START_ROLE, "type_id": 0}}] if start else []
    between = {"SpecialToken": {"id": END_ROLE, "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [*before, pieces[0]],
        "pair": [*before, pieces[0], between, pieces[1]],
        "special_tokens": {
            role: {"id": role, "ids": [ids[token] for token in tokens], "tokens": tokens}
            for role, tokens in roles.items()
        },
    }
