"""Tables that programs print: a header with a loss in it, and rows of numbers below.

fastai's (`epoch  train_loss  valid_loss  time`), the Trainer's in a notebook (`Step  Training
Loss`) and in a model card (`| Training Loss | Epoch | Step | Validation Loss |`), spaCy's (`E    #
LOSS TOK2VEC  LOSS NER`, and `Itn.  NER Loss` before its version 3), that of Ultralytics, and those
of detectors whose header names heads without the word (`Epoch  gpu_mem  box  obj  cls  total`).
"""

from __future__ import annotations

import re

from descend.loss_logs.column_names import HEADS, TRAIN, VALIDATION, column_meaning
from descend.loss_logs.number_parsing import MISSING, number

_SPACY = "E "
"""How its header begins."""
MIN_LASTING_COLUMNS = 3
"""Columns of a header that lasts through lines of other kinds, such as progress bars: rows of fewer
are too easily lines of another kind."""
MIN_HEADS = 2
"""Heads that a detector's header names."""
MAX_INTERRUPTIONS = 1_000
"""Lines that are no rows, one after the other, after which such a header is over."""
_SPLIT_CELL = re.compile(r"^([A-Za-z]+)\W+([-+]?[\d.]\S*|[-+]?nan|[-+]?inf)$", re.IGNORECASE)
"""A cell that names its split: `val 2.376`."""
_BAR_BEHIND = re.compile(r":\s+\d+%[|:\s].*$")
"""A progress bar behind the last cell: `640: 100%|███| 787/787`."""
_OF_TOTAL = re.compile(r"^(\d+)/\d+$")
"""An epoch in front that tells their number: `34/299`."""
_RULE = re.compile(r"^[\s|:+\-=─━]+$")


class TextTable:
    """The table whose header was read last, if any."""

    def __init__(self) -> None:
        self.header: list[str] | None = None
        self.header_text = ""
        self.separator = ""
        self.interruptions = 0

    def row(self, text: str) -> dict[str, str] | None:
        """Return the cells of `text` by the names of the header; None if it is no row of a
        table."""
        if self.header is None or (text[0].isalpha() and "|" not in text):
            self._take_header(text)
            self._interrupt(text)
            return None
        if _RULE.match(text):
            return None
        cells = _cells(_BAR_BEHIND.sub("", text), self.separator)
        if cells and (counted := _OF_TOTAL.match(cells[0])) is not None:
            cells[0] = counted[1]
        numbers = sum(number(cell) is not None for cell in cells)
        if len(cells) != len(self.header) or numbers < 2:
            if (split_cells := self._split_cells(cells)) is not None:
                return split_cells
            self._take_header(text)
            self._interrupt(text)
            return None
        self.interruptions = 0
        row = dict(zip(self.header, cells, strict=True))
        if self.header_text.startswith(_SPACY) and row.get("step") == "0" and "epoch" in row:
            # A sum of one step: the rows below sum those since the row above.
            return {"epoch": row["epoch"], "step": row["step"]}
        return row | _sum_of_heads(row) if _names_heads(self.header_text) else row

    def _split_cells(self, cells: list[str]) -> dict[str, str] | None:
        """Return the cells of a row whose loss cell names its split: `50  val 1.553  17 s`."""
        assert self.header is not None
        for index, (name, cell) in enumerate(zip(self.header, cells, strict=False)):
            meaning = column_meaning(name)
            match = _SPLIT_CELL.match(cell)
            if match is None or meaning is None or meaning.role != "loss":
                continue
            split = match[1].lower()
            if split in TRAIN | VALIDATION and number(match[2]) is not None:
                return dict(zip(self.header[:index], cells, strict=False)) | {
                    f"{split}_loss": match[2]
                }
        return None

    def _interrupt(self, text: str) -> None:
        """Forget the header at a line that is no row, unless it lasts."""
        if self.header is None or self.header_text == text or _RULE.match(text):
            return
        self.interruptions += 1
        if len(self.header) < MIN_LASTING_COLUMNS or self.interruptions > MAX_INTERRUPTIONS:
            self.header = None

    def _take_header(self, text: str) -> None:
        has_heads = _names_heads(text)
        if (
            not (has_heads or "loss" in text.lower())
            or len(text) > 400
            or re.search(r"(?<![A-Za-z_])\d", text)
        ):
            return
        for separator in ("|", "\t", "  ", " "):
            names = _spacy_names(_names(text, separator))
            names = _head_names(names) if has_heads else names
            meanings = [m for name in names if (m := column_meaning(name)) is not None]
            meanings = [m for m in meanings if m.role != "accuracy"]
            roles = {m.role for m in meanings}
            if (
                len(names) > 1
                and len(meanings) > 1
                and "loss" in roles
                and (len(meanings) * 2 >= len(names) or _begins_with_place(names, separator))
            ):
                self.header, self.separator = names, separator
                self.header_text, self.interruptions = text, 0
                return


def _begins_with_place(names: list[str], separator: str) -> bool:
    """Return whether columns that a sign separates begin with a step or an epoch, as in the tables
    of TRL, which have many columns of rewards beside the loss."""
    first = column_meaning(names[0])
    is_table = separator in ("|", "\t") or (separator == "  " and len(names) >= MIN_LASTING_COLUMNS)
    return is_table and first is not None and first.role in ("step", "epoch")


def _names_heads(text: str) -> bool:
    """Return whether a header has epochs and several heads of a detector, none called a loss."""
    words = text.lower().split()
    return words[:1] == ["epoch"] and len(HEADS & set(words)) >= MIN_HEADS


def _head_names(names: list[str]) -> list[str]:
    """Return the columns with the word that the header of a detector leaves out."""
    return [
        f"{name}_loss" if name.lower() in HEADS else "loss" if name.lower() == "total" else name
        for name in names
    ]


def _sum_of_heads(row: dict[str, str]) -> dict[str, str]:
    """Return the whole loss of a row that has only those of the heads: their sum."""
    heads = [number(cell) for name, cell in row.items() if name.endswith("_loss")]
    numbers = [value for value in heads if value is not None]
    return {} if "loss" in row or not numbers else {"loss": f"{sum(numbers):.6g}"}


def _spacy_names(names: list[str]) -> list[str]:
    """Return the columns of spaCy by their usual names; others as they are.

    Of the losses of several components the last is read: the first are those below it.
    """
    if names[0] == "Itn.":
        return ["epoch", *names[1:]]
    if names[:2] != ["E", "#"]:
        return names
    losses = [name for name in names if name.startswith("LOSS ")]
    return ["epoch", "step"] + [
        "loss" if losses and name == losses[-1] else f"part {name[5:]}" if name in losses else name
        for name in names[2:]
    ]


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
