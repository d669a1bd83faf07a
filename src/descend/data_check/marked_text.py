"""Texts in which a chat template was applied already: its markers, the turns, and their ends."""

from __future__ import annotations

import re
from dataclasses import dataclass

from descend.data.readers.chats import Turn, known_role


@dataclass(frozen=True)
class MarkerStyle:
    """How templates of one family write a conversation."""

    name: str
    start: re.Pattern[str]
    """What begins a turn; group 1 is the role, and none is that of a user or an assistant."""
    end: re.Pattern[str]
    """What ends a turn of the assistant."""
    ends_all: bool = True
    """Whether every turn has the end, and not only the answers."""


STYLES = (
    MarkerStyle("ChatML", re.compile(r"<\|im_start\|>([^\n<]*)\n?"), re.compile(r"<\|im_end\|>")),
    MarkerStyle(
        "Llama 3", re.compile(r"<\|start_header_id\|>([^\n<]*)<\|end_header_id\|>\s*"),
        re.compile(r"<\|(?:eot_id|eom_id|end_of_text)\|>"),
    ),
    MarkerStyle(
        "Gemma", re.compile(r"<start_of_turn>([^\n<]*)\n?"), re.compile(r"<end_of_turn>")
    ),
    MarkerStyle("Llama 2", re.compile(r"\[(/?)INST\]"), re.compile(r"</s>"), ends_all=False),
    MarkerStyle(
        "Phi and Zephyr", re.compile(r"<\|(user|assistant|system)\|>\n?"),
        re.compile(r"<\|(?:end|endoftext)\|>|</s>"), ends_all=False,
    ),
)  # fmt: skip
_BEFORE_TURNS = re.compile(r"(?:\s|<s>|<bos>|<\|begin_of_text\|>|<\|endoftext\|>)*")
_ANY_END = re.compile(
    r"\s*(?:" + "|".join(style.end.pattern for style in STYLES) + r"|<\|endoftext\|>)\s*"
)


def styles_of(text: str) -> list[MarkerStyle]:
    """Return the styles whose markers begin turns in `text`, the first one in it first; none where
    the text does not begin with a turn."""
    starts = {style.name: match.start() for style in STYLES if (match := style.start.search(text))}
    if not starts or not _BEFORE_TURNS.fullmatch(text[: min(starts.values())]):
        return []
    return sorted((s for s in STYLES if s.name in starts), key=lambda s: starts[s.name])


def marked_turns(text: str) -> tuple[Turn, ...]:
    """Return the turns that are marked in `text`; empty where no marker begins one."""
    styles = styles_of(text)
    if not styles:
        return ()
    style = styles[0]
    matches = list(style.start.finditer(text))
    turns = []
    for n, match in enumerate(matches):
        stop = matches[n + 1].start() if n + 1 < len(matches) else len(text)
        said = _ANY_END.split(text[match.end() : stop])[0]
        role = match[1].strip()
        if style.name == "Llama 2":
            role = "assistant" if role else "user"
        turns.append((known_role(role), said.strip()))
    return tuple(turns)


def lacks_end(text: str, style: MarkerStyle) -> bool:
    """Return whether a turn of `text` that must end with a marker does not."""
    starts = [match.start() for match in style.start.finditer(text)]
    for n, start in enumerate(starts):
        stop = starts[n + 1] if n + 1 < len(starts) else len(text)
        is_last = n + 1 == len(starts)
        if (style.ends_all or is_last) and not style.end.search(text, start, stop):
            return True
    return False
