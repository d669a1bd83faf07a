"""Tokens as text that can be shown one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from descend.data.tokenizer import Tokenizer

END = "⟨end⟩"
"""How the token between two texts is shown."""

_UNFINISHED = "\ufffd"

MAX_IN_A_CHARACTER = 4
"""Bytes of the longest character in UTF-8."""


def tokens_to_text(tokenizer: Tokenizer, ids: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    """Yield the text of `ids` in pieces, with the places of the tokens that make each.

    A piece is one token, or the few whose bytes make a character together.
    """
    pending: list[int] = []
    for position, index in enumerate(ids):
        if index == tokenizer.eos_token_id:
            if pending:
                yield tokenizer.decode([ids[i] for i in pending]), pending
                pending = []
            yield END, [position]
            continue
        pending.append(position)
        text = tokenizer.decode([ids[i] for i in pending])
        if not text.endswith(_UNFINISHED) or len(pending) >= MAX_IN_A_CHARACTER:
            yield text, pending
            pending = []
    if pending:
        yield tokenizer.decode([ids[i] for i in pending]), pending


def mark_whitespace(text: str) -> str:
    """Return `text` with white space that can be seen: for cells and axes."""
    return text.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥").replace("\r", "␍") or "∅"
