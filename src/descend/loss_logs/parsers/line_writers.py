"""Which of several processes wrote a line: torchrun, srun, mpirun and pdsh label each line."""

from __future__ import annotations

import re
from collections.abc import Sequence

MIN_RETURNS = 4
"""Times that a label must come again after another: processes write in turns, steps only rise."""
MAX_WRITERS = 4096

_RANK = re.compile(
    r"^\s*(?:\[(?:global |local )?(?:rank|default|trainer|worker)[ _:=]?(\d+)\]"
    r"|\[\d+,(\d+)\]<std(?:out|err)>|\(?(?:rank|worker)[ _:=]?(\d+)\)?(?=\s*[:|>\]]))\s*[:|>]?\s*",
    re.IGNORECASE,
)
"""`[rank3]:` of torchtitan, `[default0]:` of torchrun, `[1,3]<stdout>:` of mpirun."""
_LABEL = re.compile(r"^\s*\[?([A-Za-z][\w.-]*\d|\d{1,4})\]?:\s+")
"""`3: ` of `srun --label`, `node-3: ` of pdsh."""
_NAMED = re.compile(r"(?<![\w-])(?:global_)?rank\s*[=:]\s*(\d+)\b", re.IGNORECASE)


class LineWriters:
    """Tells the labels of processes from steps and names by the first lines of a log."""

    def __init__(self, head: Sequence[str]) -> None:
        labels = [match[1] for text in head if (match := _LABEL.match(text)) is not None]
        known: set[str] = set()
        returns = 0
        for before, label in zip(["", *labels], labels, strict=False):
            returns += label in known and label != before
            known.add(label)
        is_usual = 2 * len(labels) >= len(head)
        self.has_labels = is_usual and returns >= MIN_RETURNS and len(known) <= MAX_WRITERS

    def split(self, text: str) -> tuple[str, str]:
        """Return the writer of a line, empty if none is named, and the line without its label."""
        writer = ""
        if self.has_labels and (label := _LABEL.match(text)) is not None:
            writer, text = label[1], text[label.end() :]
        if (rank := _RANK.match(text)) is not None:
            writer, text = next(filter(None, rank.groups())), text[rank.end() :]
        elif not writer and "rank" in text.lower() and (named := _NAMED.search(text)) is not None:
            writer = named[1]
        return writer, text
