"""Much text to ids: a word that was met before is looked up, not tokenized again.

Byte-level BPE as descend trains it cuts the text at white space before it merges anything, so that
ids of a segment without white space do not depend on what stands around it. Text repeats its words:
looking them up is several times as fast as tokenizing them, and no more than `MAX_CACHED_SEGMENTS`
are held in memory. Other tokenizers encode all of the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

import numpy as np

from descend.data.readers.chats import MARKERS
from descend.data.tokenizer import Tokenizer

MAX_CACHED_SEGMENTS = 2**17
"""Different segments held at a time, some 200 bytes each: then it begins again with none."""

MAX_CACHED_WORD_CHARS = 32
"""Characters of a segment that is worth holding: longer ones hardly come again."""

# What GPT-2's pattern makes of white space; it cuts further within a segment. Python alone counts
# the four separators from 0x1c on as white space.
_SEGMENTS = re.compile(
    r" ?[\S\x1c-\x1f]+|[^\S\x1c-\x1f]+(?![\S\x1c-\x1f])|[^\S\x1c-\x1f]+"
)  # fmt: skip

Encode = Callable[[Sequence[str]], list[bytes]]
"""Texts to their ids, each as the bytes of an array of `token_id_dtype`."""


def token_id_dtype(tokenizer: Tokenizer) -> type[np.unsignedinteger]:
    """Return the smallest type that holds every id."""
    return np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32


def make_encoder(tokenizer: Tokenizer) -> Encode:
    """Return the fastest way to the ids that `tokenizer.encode_batch` gives."""
    dtype = token_id_dtype(tokenizer)

    def plainly(texts: Sequence[str]) -> list[bytes]:
        return [np.asarray(ids, dtype).tobytes() for ids in tokenizer.encode_batch(texts)]

    if not splits_on_whitespace(tokenizer):
        return plainly
    known: dict[str, bytes] = {}

    def encode_by_segments(texts: Sequence[str]) -> list[bytes]:
        encoded = []
        for text in texts:
            segments = _SEGMENTS.findall(text)
            new = [s for s in dict.fromkeys(segments) if s not in known]
            if len(known) + len(new) > MAX_CACHED_SEGMENTS:
                known.clear()
                new = list(dict.fromkeys(segments))
            known.update(zip(new, plainly(new), strict=True))
            encoded.append(b"".join(map(known.__getitem__, segments)))
            for segment in new:
                if len(segment) > MAX_CACHED_WORD_CHARS:
                    del known[segment]
        return encoded

    return encode_by_segments


def splits_on_whitespace(tokenizer: Tokenizer) -> bool:
    """Return whether it is spelled and cut as those of `train_tokenizer` are: byte-level BPE."""
    spelled = json.loads(tokenizer.to_bytes())
    first = spelled["pre_tokenizer"] or {}
    return (
        spelled["normalizer"] is None
        and spelled["model"]["type"] == "BPE"
        and not spelled["model"]["dropout"]
        and (first.get("type"), first.get("add_prefix_space"), first.get("use_regex"))
        == ("ByteLevel", False, True)
        and all(token["special"] or _is_marker(token) for token in spelled["added_tokens"])
    )


def _is_marker(token: dict[str, object]) -> bool:
    """Return whether an added token is the marker of a role, which takes no white space with it."""
    return token["content"] in MARKERS and not any(
        token[key] for key in ("lstrip", "rstrip", "single_word", "normalized")
    )
