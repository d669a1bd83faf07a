"""What the cells of a Jupyter notebook printed, as the lines of a console.

Tables that a cell shows, as those of the Trainer and fastai, become lines with tabs. The source of
the cells is left out: numbers in it are no results.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from descend.loss_logs.column_names import column_meaning
from descend.loss_logs.curve_assembly import CurveAssembly
from descend.loss_logs.log_lines import text_lines
from descend.loss_logs.parsers.console import Console

MAX_NOTEBOOK_BYTES = 256 * 2**20
"""Notebooks up to this size are read: those with many pictures have some tens of MB."""
_KEYS = (b'"cell_type"', b'"nbformat"')
_WANDB_SUMMARY = 'class="wandb"'
"""What Weights & Biases shows at the end of a run: means and last values, which are no points."""


def is_notebook(head: bytes) -> bool:
    """Return whether a file that begins with `head` is a Jupyter notebook."""
    return head.lstrip()[:1] == b"{" and any(key in head for key in _KEYS)


def read_notebook(path: Path, assembly: CurveAssembly) -> bool:
    """Read the outputs of the notebook at `path`; False if it is damaged or too large."""
    if path.stat().st_size > MAX_NOTEBOOK_BYTES:
        return False
    try:
        book = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    Console(assembly).read(text_lines("\n".join(_outputs(book))))
    assembly.facts.kind = "output of a notebook"
    return True


def _outputs(book: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the cells show, in their order, for any shape of JSON."""
    for cell in _objects(book.get("cells")):
        tables: list[str] = []
        outputs: list[str] = []
        errors: list[str] = []
        for output in _objects(cell.get("outputs")):
            data = output.get("data")
            data = data if isinstance(data, dict) else {}
            page = _text(data.get("text/html"))
            if _WANDB_SUMMARY in page:
                continue
            if "<table" in page:
                tables.append(_table_lines(page))
                outputs.append(tables[-1])
            else:
                outputs.append(_text(output.get("text")) or _text(data.get("text/plain")))
            if output.get("output_type") == "error":
                errors.append(_error_lines(output))
        # Beside a table of losses, samples are printed, which hold numbers of any kind.
        yield from tables if any(map(_is_training_table, tables)) else outputs
        # An error below a plot or an import is none of the training.
        if any("loss" in text.lower() for text in (*tables, *outputs)):
            yield from errors


def _error_lines(output: Mapping[str, Any]) -> str:
    """Return the error that ended a cell, as a console shows it."""
    name, message = _text(output.get("ename")), _text(output.get("evalue"))
    return f"Traceback (most recent call last):\n{name}: {message}\n"


def _is_training_table(lines: str) -> bool:
    """Return whether a table has a step or an epoch in front and a loss in each row."""
    meanings = [column_meaning(name) for name in lines.partition("\n")[0].split("\t")]
    roles = [meaning.role for meaning in meanings if meaning is not None]
    return meanings[0] is not None and roles[0] in ("step", "epoch") and "loss" in roles


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    """Return a text that may be a list of its lines."""
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


class _Rows(HTMLParser):
    """The cells of each row of the tables of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.is_in_cell = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Begin a row or a cell."""
        if tag == "tr":
            self.rows.append([])
        self.is_in_cell = tag in ("td", "th") and bool(self.rows)
        if self.is_in_cell:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """End a cell."""
        self.is_in_cell = self.is_in_cell and tag not in ("td", "th", "tr")

    def handle_data(self, data: str) -> None:
        """Add to the text of a cell."""
        if self.is_in_cell:
            self.rows[-1][-1] += data


def _table_lines(page: str) -> str:
    parser = _Rows()
    parser.feed(page)
    return "\n".join("\t".join(" ".join(cell.split()) for cell in row) for row in parser.rows)
