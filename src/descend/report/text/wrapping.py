"""Sentences wrapped between words, for a terminal."""

from __future__ import annotations

import re
import textwrap

_COMMAND = re.compile(r"`[^`]*`")
_LABEL = re.compile(r"(\S.{0,14}?  +)(\S.*)")
"""A word or two in a column of labels, and the sentence beside it."""
_TIED = re.compile(r"(?<=\d) (?=%)|(?<=%) (?=CI)| (?==)|(?<==) ")
"""The spaces within `95 % CI` and `vocab_size = 257`."""
_JOINT = "\x00"
"""Stands for a space at which a line must not break."""


def wrap_lines(text: str, width: int) -> str:
    """Wrap the sentences of `text` between words; a further line is indented.

    `95 %` and `vocab_size = 257` are not broken. Tables and charts keep their columns. A command in
    backquotes is not broken where it fits into a line, and a line that is a command stays one line,
    so that both can be copied.
    """
    lines = []
    for line in text.splitlines():
        body = line.lstrip(" ")
        margin = line[: len(line) - len(body)]
        label = _LABEL.match(body)
        if label and len(line) > width and "  " not in label[2] and "│" not in body:
            lines.append(_wrap(label[2], width, margin + label[1], " " * len(margin + label[1])))
            continue
        is_table = "  " in body or "│" in body
        is_command = body.startswith(("descend ", "next: "))
        if len(line) <= width or is_table or is_command:
            lines.append(line)
            continue
        lines.append(_wrap(body, width, margin, margin + "  "))
    return "\n".join(lines)


def _wrap(body: str, width: int, first: str, further: str) -> str:
    """Wrap `body`, its first line behind `first` and the others behind `further`."""
    tied = _TIED.sub(_JOINT, body)
    whole = _COMMAND.sub(
        lambda m: m[0].replace(" ", _JOINT) if len(m[0]) <= width - 4 else m[0], tied
    )
    wrapped = textwrap.wrap(
        whole, width, initial_indent=first, subsequent_indent=further,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return "\n".join(wrapped).replace(_JOINT, " ")
