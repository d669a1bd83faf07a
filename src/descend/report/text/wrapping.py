"""Sentences wrapped between words, for a terminal."""

from __future__ import annotations

import re
import textwrap

_COMMAND = re.compile(r"`[^`]*`")
_JOINT = "\x00"
"""Stands for a space at which a line must not break."""


def wrap_lines(text: str, width: int, indent: str = "  ") -> str:
    """Wrap the sentences of `text` between words; a further line begins with `indent`.

    Tables and charts keep their columns. A command in backquotes is not broken where it fits into
    a line, and a line that is a command stays one line, so that both can be copied.
    """
    lines = []
    for line in text.splitlines():
        body = line.lstrip(" ")
        margin = line[: len(line) - len(body)]
        is_table = "  " in body or "│" in body
        is_command = body.startswith(("descend ", "next: "))
        if len(line) <= width or is_table or is_command:
            lines.append(line)
            continue
        whole = _COMMAND.sub(
            lambda m: m[0].replace(" ", _JOINT) if len(m[0]) <= width - 4 else m[0], body
        )
        wrapped = textwrap.wrap(
            whole, width, initial_indent=margin, subsequent_indent=margin + indent,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        lines += [part.replace(_JOINT, " ") for part in wrapped]
    return "\n".join(lines)
