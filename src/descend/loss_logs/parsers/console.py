"""Any program's console output: names and numbers on a line, whoever printed it.

Tables with a header and the Trainer's dictionaries are read too, and JSON objects, one a line.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from typing import Any

from descend.loss_logs.column_names import TRAIN, VALIDATION
from descend.loss_logs.curve_assembly import CurveAssembly
from descend.loss_logs.languages import Translator
from descend.loss_logs.log_lines import Line
from descend.loss_logs.log_row import Pair, Row, row_of
from descend.loss_logs.number_columns import NumberColumns
from descend.loss_logs.number_parsing import number
from descend.loss_logs.parsers.boosted_trees import BoostedTrees
from descend.loss_logs.parsers.line_pairs import DICTIONARY, EPOCH, pairs_of
from descend.loss_logs.parsers.line_writers import LineWriters
from descend.loss_logs.parsers.structured import OF_THE_WHOLE_RUN, flat, row_of_object
from descend.loss_logs.parsers.text_table import TextTable

_MESSAGE_KEYS = ("message", "msg", "log", "textPayload", "line", "event")
"""Where collectors of logs put the line that a program printed."""
_BAR = re.compile(r"\d+/\d+ ?\[\d+:\d|%\|")
_BAR_COUNT = re.compile(r"(\d+)/(\d+) ?\[\d+:\d")
_TITLE = re.compile(r"^[*=\-#>~\s]{3,}.*[*=\-#<~:]$|^[A-Za-z].*(?::|\.\.\.)$")
"""A line that stands over others: between signs, or with a colon or dots at its end."""
MAX_TITLE_WORDS = 6
_KERAS = re.compile(
    r"^\s*(\d+)/(\d+|Unknown)\b.*?"
    r"(?:/(?:step|epoch|batch|sample)\b|ETA:|\[[=>.]+\]|\b\d+[um]?s - ).*\bloss: "
)
_EPOCH_LINE = re.compile(r"^\W*epoch\W*(\d+)(?:\s*(?:/|of)\s*\d+)?\W*$", re.IGNORECASE)
_CELL = re.compile(
    r"^[|│]\s*([A-Za-z_][\w/ .\-]*?)\s*[|│]\s*([-+]?[\d.][\d.,eE+\-]*|nan|inf)\s*[|│]$",
    re.IGNORECASE,
)
"""A line of a block as Stable-Baselines and others print them: `| loss | 3.2 |`."""
_SECTION = re.compile(r"^[|│]\s*([A-Za-z_]\w*/)\s*[|│]\s*[|│]$")
_ADAM = re.compile(
    r"\bFusedAdam|\badamw|\boptim\w*\W{1,20}(?:\w+\.)*adam|^Adam\s*\(", re.IGNORECASE
)
"""How programs name their optimizer, above the losses."""
_COMMENT = re.compile(r"^([^#]*\w\s*=\s*[^#=]+?)\s#\s.*$")
"""A setting with a comment behind it: `min_lr = 1e-4 # learning_rate / 10 usually`."""
_LLMC = re.compile(r"^s:\d+ tr?e?l:|z\)\|\s*norm ")
"""Lines of llm.c, which has AdamW only."""
_FASTAI_FIT = re.compile(
    r"\.(?:fit|fit_one_cycle|fit_flat_cos|fit_sgdr|fine_tune)\(\s*\d+\s*,\s*"
    r"(?:\w+\s*=\s*)?(?:slice\((?:[^,()]*,)?\s*)?([\d.]+(?:e[-+]?\d+)?)",
    re.IGNORECASE,
)
"""fastai's call with the epochs and the peak rate; its optimizer is Adam by default."""
_HEAD_LINES = 400
"""Lines looked at before the first is read: for their language, and for who wrote them."""


class Console:
    """Reads lines into an assembly."""

    def __init__(self, assembly: CurveAssembly) -> None:
        self.assembly = assembly
        self.table = TextTable()
        self.columns = NumberColumns([])
        self.block = ""
        """The split that a line such as `Test Error:` names for the lines below it."""
        self.block_is_short = False
        """Whether that line held a number, such as its epoch: then it is for the next loss only."""
        self.keras: tuple[float, Line, list[Pair]] | None = None
        self.keras_epoch = 0
        self.cells: dict[str, str] = {}
        self.section = ""
        self.keras_begun = self.keras_only_ends = True
        self.translator = Translator()
        self.writers = LineWriters([])
        self.trees = BoostedTrees([])
        self.writer = ""
        """Which of several processes wrote the line that is read."""

    def read(self, lines: Iterable[Line]) -> None:
        """Read all `lines`."""
        lines = iter(lines)
        head = list(islice(lines, _HEAD_LINES))
        self.translator = Translator(line.text for line in head)
        self.writers = LineWriters([line.text for line in head])
        self.trees = BoostedTrees(line.text for line in head)
        self.columns = NumberColumns(self._rows_of_tables(head))
        for line in chain(head, lines):
            self.writer, text = self.writers.split(line.text)
            stripped = text.strip()
            text = self.translator.translate(stripped)
            if not text:
                self._set_block("")
                continue
            if not self._line(text, line):
                self.assembly.facts.skipped += 1
            self.assembly.facts.read_end(stripped)
        self._end_epoch()
        self._end_cells()
        self.assembly.facts.judge_scores()

    def _rows_of_tables(self, head: Iterable[Line]) -> list[dict[str, str]]:
        """Return the rows of printed tables among the first lines."""
        table = TextTable()
        texts = (self.translator.translate(line.text.strip()) for line in head)
        return [cells for text in texts if text and (cells := table.row(text)) is not None]

    def _line(self, text: str, line: Line) -> bool:
        if not self.assembly.facts.rows:
            self._take_setting(text)
            text = _COMMENT.sub(r"\1", text)
        if text[0] == "{" and (value := _json_object(text)) is not None:
            return self._object(value, line)
        if text[0] in "|│" and (cell := _CELL.match(text)) is not None:
            self.cells[f"{self.section}{cell[1].strip()}"] = cell[2]
            return True
        if self.cells or self.section:
            if (section := _SECTION.match(text)) is not None:
                self.section = section[1].strip()
                return False
            self._end_cells()
        elif (section := _SECTION.match(text)) is not None:
            self.section = section[1].strip()
            return False
        if (cells := self.trees.cells(text)) is not None:
            return self._cells(cells, line)
        if (cells := self.table.row(text)) is not None:
            return self._cells(self.columns.to_english(cells), line)
        if epoch_line := _EPOCH_LINE.match(text):
            self._end_epoch()
            self.keras_epoch, self.keras_begun, self.keras_only_ends = (
                int(epoch_line[1]),
                False,
                False,
            )
            self._set_block("")
            self.assembly.set_context(row_of([(EPOCH, float(epoch_line[1]), None, "")]))
            return False
        if not any(c.isdigit() for c in text) and "nan" not in text.lower():
            self._name_block(text)
            return False
        if progress := _KERAS.match(text):
            return self._progress(progress, text, line)
        return self._pairs(text, line)

    def _take_setting(self, text: str) -> None:
        """Note the optimizer that a line above the losses names, and the rate of fastai's call."""
        if _ADAM.search(text) or _LLMC.search(text):
            self.assembly.facts.adam = True
        if (call := _FASTAI_FIT.search(text)) is not None:
            self.assembly.facts.adam = "SGD" not in text
            self.assembly.set_context(Row(rate=number(call[1])))

    def _end_cells(self) -> None:
        """End a block of `| name | value |` lines, which are one row."""
        cells, self.cells, self.section = self.cells, {}, ""
        if cells:
            self._cells(cells, None)

    def _cells(self, cells: Mapping[str, Any], line: Line | None) -> bool:
        """Take named values; the names tell what the loss is of."""
        row = row_of_object(cells, line)
        row.writer = row.writer or self.writer
        if not all(math.isfinite(value) for *_, value in row.losses):
            self.assembly.facts.note_lost_terms(cells, row)
        if row.losses or row.perplexities:
            self.assembly.facts.names.update([k for k, v in cells.items() if v is not None][:40])
            self.assembly.facts.note_score(number(cells.get("SCORE")))
        return self.assembly.add(row)

    def _object(self, value: dict[str, Any], line: Line) -> bool:
        if value.get("kind") == "rollback":  # descend's own: what it went back before is undone
            self.assembly.points.rewind(number(value.get("step")))
            return False
        self.assembly.facts.objects += 1
        if self._cells(flat(value), line):
            return True
        message = next((value[k] for k in _MESSAGE_KEYS if isinstance(value.get(k), str)), "")
        return bool(message.strip()) and message[0] != "{" and self._line(message.strip(), line)

    def _pairs(self, text: str, line: Line) -> bool:
        pairs, names = pairs_of(text, self.block)
        row = row_of(pairs, line)
        if self.block_is_short and row.step is not None:
            pairs, names = pairs_of(text)  # a line with a step of its own is under no such heading
            row = row_of(pairs, line)
        row.bar, row.writer = bool(_BAR.search(text)), self.writer
        if row.bar:
            self._take_bar(text)
        if all(meaning.role == "accuracy" for meaning, _, _, _ in pairs):
            self.assembly.facts.note_accuracy(row)
            if _TITLE.match(text) and not row.bar:
                self._name_block(text, is_short=True)
            return False
        if row.losses or row.perplexities:
            if any(key in text for key in OF_THE_WHOLE_RUN):
                return False
            if self.block_is_short:
                self._set_block("")
            self.assembly.facts.names.update(names[:40])
            if DICTIONARY.search(text):
                self.assembly.facts.dictionaries += 1
            return self.assembly.add(row)
        if row.step is not None or self.block_is_short:
            self._set_block("")
        if _TITLE.match(text) and not row.bar:
            self._name_block(text, is_short=True)
        self.assembly.set_context(row)
        return False

    def _take_bar(self, text: str) -> None:
        """Note how far each progress bar of a line is, and whether one of validation ended."""
        for count in _BAR_COUNT.finditer(text):
            done, total = float(count[1]), float(count[2])
            self.assembly.bars.done[total] = done
            first = re.match(r"[A-Za-z]+", text)
            if done == total and first is not None and first[0].lower() in VALIDATION:
                self.assembly.bars.ended_validations += 1

    def _set_block(self, split: str, *, is_short: bool = False) -> None:
        self.block, self.block_is_short = split, is_short and bool(split)

    def _name_block(self, text: str, *, is_short: bool = False) -> None:
        words = [w.lower() for w in re.findall(r"[A-Za-z]+", text)]
        named = [w for w in words if w in VALIDATION or w in TRAIN]
        max_words = MAX_TITLE_WORDS if is_short else 4
        is_title = bool(named) and len(words) <= max_words and (is_short or text[-1] in ":-=]*#")
        self._set_block(named[-1] if is_title else "", is_short=is_short)

    def _progress(self, progress: re.Match[str], text: str, line: Line) -> bool:
        """Return a progress line of Keras: its losses are means over the epoch so far, so that the
        last one counts, and epochs may have no heading."""
        at_end = progress[1] == progress[2]
        self.keras_only_ends = self.keras_only_ends and at_end
        if self.keras_begun and (progress[1] == "1" or self.keras_only_ends):
            self._end_epoch()
            self.keras_epoch += 1
        self.keras_begun = at_end
        pairs, names = pairs_of(text[progress.end(2) :], "")
        self.assembly.facts.names.update(names)
        self.keras = (float(max(self.keras_epoch, 1)), line, pairs)
        return True

    def _end_epoch(self) -> None:
        if self.keras is not None:
            epoch, line, pairs = self.keras
            row = row_of([p for p in pairs if p[0].role != "step"], line)
            row.epoch, row.line = epoch, None
            self.assembly.facts.progress_lines += 1
            self.assembly.add(row)
            self.keras = None


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
