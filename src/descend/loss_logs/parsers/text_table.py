"""Tables that programs print: a header with a loss in it, and rows of numbers below.

fastai's (`epoch  train_loss  valid_loss  time`), the Trainer's in a notebook (`Step  Training
Loss`) and in a model card (`| Training Loss | Epoch | Step | Validation Loss |`).
"""

from __future__ import annotations

import re

from descend.loss_logs.column_names import TRAIN, VALIDATION, column_meaning
from descend.loss_logs.number_parsing import MISSING, number

_RULE = re.compile(r"^[\s|:+\-=─━]+$")


class TextTable:
    """The table whose header was read last, if any."""

    def __init__(self) -> None:
        self.header: list[str] | None = None
        self.separator = ""

    def row(self, text: str) -> dict[str, str] | None:
        """The cells of `text` by the names of the header; None if it is no row of a table."""
        if self.header is None or (text[0].isalpha() and "|" not in text):
            self._take_header(text)
            return None
        if _RULE.match(text):
            return None
        cells = _cells(text, self.separator)
        numbers = sum(number(cell) is not None for cell in cells)
        if len(cells) != len(self.header) or numbers < 2:
            self.header = None
            self._take_header(text)
            return None
        return dict(zip(self.header, cells, strict=True))

    def _take_header(self, text: str) -> None:
        if "loss" not in text.lower() or len(text) > 400 or _digits(text):
            if self.header is not None and not _RULE.match(text):
                self.header = None
            return
        for separator in ("|", "\t", "  ", " "):
            names = _names(text, separator)
            meanings = [m for name in names if (m := column_meaning(name)) is not None]
            roles = {m.role for m in meanings}
            if (
                len(names) > 1
                and len(meanings) > 1
                and "loss" in roles
                and len(meanings) * 2 >= len(names)
            ):
                self.header, self.separator = names, separator
                return


def _digits(text: str) -> bool:
    return bool(re.search(r"(?<![A-Za-z_])\d", text))


def _names(text: str, separator: str) -> list[str]:
    if separator != " ":
        return _cells(text, separator)
    names: list[str] = []
    for word in text.split():
        if word.lower() == "loss" and names and names[-1].lower() in TRAIN | VALIDATION:
            names[-1] += f" {word}"
        else:
            names.append(word)
    return names


def _cells(text: str, separator: str) -> list[str]:
    text = text.strip().strip("|").strip() if separator == "|" else text.strip()
    if separator == "  ":
        cells = re.split(r"\s{2,}", text)
    elif separator == " ":
        cells = text.replace("No log", "n/a").split()
    else:
        cells = text.split(separator)
    return ["" if c.strip().lower() in MISSING else c.strip() for c in cells]
