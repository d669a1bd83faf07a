"""Objects and tables: JSON of several shapes, and files with separated columns.

`trainer_state.json` (`log_history`), lists of objects, dictionaries of lists (Keras' `history`),
Lightning's `metrics.csv`, exports of Weights & Biases, MLflow and TensorBoard. JSON lines are read
as lines of a console. Names are resolved as on a console.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from descend.loss_logs.column_names import TRAIN, VALIDATION, Meaning, column_meaning
from descend.loss_logs.curve_assembly import CurveAssembly
from descend.loss_logs.log_lines import Line, read_lines
from descend.loss_logs.log_row import Pair, Row, row_of, split_named
from descend.loss_logs.number_columns import NumberColumns
from descend.loss_logs.number_parsing import MISSING, number
from descend.loss_logs.parsers.unnamed_rows import chart_name, rows_of_charts, rows_of_frame

MAX_WHOLE_FILE_BYTES = 32 * 2**20
"""JSON files up to this size are read at once; of larger ones the innermost objects are."""
DEEPEST = 8
_NULLS = frozenset({"null", "none", "nan"})
_SPLIT_KEYS = frozenset({"split", "phase", "mode", "stage", "subset", "type", "prefix", "set"})
_WRITER_KEYS = ("rank", "global_rank", "process_index")
OF_THE_WHOLE_RUN = ("train_runtime", "train_samples_per_second")
"""Keys of the Trainer's last line, whose `train_loss` is the mean over the run: no point."""
_OBJECT = re.compile(rb"\{[^{}]*\}")
_HEAD_ROWS = 20_000
"""Rows of a table by which it is known how its columns write numbers."""
_LONG_FORM = {"key": ("key", "metric", "tag", "metric_name"), "value": ("value", "metric_value")}
"""Columns of tables with one number a line, as MLflow exports them."""


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return `{"train": {"loss": 1}}` as `{"train/loss": 1}`."""
    result: dict[str, Any] = {}
    pending: list[tuple[str, Mapping[str, Any], int]] = [("", row, 0)]
    while pending:
        prefix, value, depth = pending.pop()
        for key, inner in value.items():
            if isinstance(inner, dict):
                if depth < DEEPEST:
                    pending.append((f"{prefix}{key}/", inner, depth + 1))
            else:
                result[f"{prefix}{key}"] = inner
    return result


def row_of_object(cells: Mapping[str, Any], line: Line | None = None) -> Row:
    """Return the row that an object, or a line of a table by its columns' names, holds."""
    if any(key in cells for key in OF_THE_WHOLE_RUN):
        return Row(line=line)
    word = next(
        (v.lower() for k, v in cells.items() if k.lower() in _SPLIT_KEYS and isinstance(v, str)
         and v.lower() in TRAIN | VALIDATION),
        "",
    )  # fmt: skip
    pairs: list[Pair] = []
    nulls: list[Pair] = []
    lost: list[Meaning] = []
    """Losses that are written as no number, as an evaluation without labels gives."""
    has_null_rate = False
    for name, value in cells.items():
        meaning = column_meaning(name)
        if meaning is None:
            continue
        parsed = number(value)
        has_null_rate |= meaning.role == "rate" and value is None
        if meaning.role == "loss" and _is_null(value, parsed):
            nulls.append((meaning, math.nan, None, word))
            lost += [] if parsed is None else [meaning]
        elif parsed is not None:
            pairs.append((meaning, parsed, None, word))
    # A loss that is null stands for a number only where no other loss is in the row. Where the rate
    # is null too, nothing was measured: such a row closes the log of LLaMA-Factory.
    is_measured = any(meaning.role in ("loss", "perplexity") for meaning, _, _, _ in pairs)
    if not is_measured and not has_null_rate:
        pairs += nulls
    elif any(meaning.rank == 0 and meaning.split != "validation" for meaning in lost):
        # The whole loss is no number, though some of its terms are.
        pairs += [pair for pair in nulls if pair[0] in lost and pair[0].split != "validation"]
    row = row_of(pairs, line)
    row.has_lost_validation = is_measured and any(
        (meaning.split or split_named(word)) == "validation" for meaning in lost
    )
    row.structured = True
    row.writer = next((str(cells[key]) for key in _WRITER_KEYS if key in cells), "")
    return row


def _is_null(value: object, parsed: float | None) -> bool:
    if parsed is not None:
        return math.isnan(parsed)
    return value is None or (isinstance(value, str) and value.strip().lower() in _NULLS)


def read_json(path: Path, assembly: CurveAssembly) -> bool:
    """Read a file that is one JSON value; False if it is none, or holds no rows."""
    if path.stat().st_size > MAX_WHOLE_FILE_BYTES:
        return _read_large(path, assembly)
    try:
        # Python's reader, since NaN is what a log of a failed run holds and strict readers refuse.
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    rows = rows_of_charts(value, path) or _rows_in(value) or rows_of_frame(value)
    if not rows:
        return False
    history = _has_history(value)
    assembly.facts.kind = "Hugging Face Trainer, trainer_state.json" if history else "JSON"
    assembly.facts.adam = history
    _add(rows, assembly)
    return True


def is_trainer_state(path: Path) -> bool:
    """Return whether a file is the state of a Hugging Face Trainer, with or without losses."""
    if path.stat().st_size > MAX_WHOLE_FILE_BYTES:
        return False
    try:
        return _has_history(json.loads(path.read_bytes()))
    except (ValueError, RecursionError):
        return False


def _has_history(value: object) -> bool:
    return isinstance(value, dict) and "log_history" in value


def _read_large(path: Path, assembly: CurveAssembly) -> bool:
    """Return the innermost objects of a large file, one after the other."""
    assembly.facts.kind, rest = "JSON", b""
    with path.open("rb") as file:
        while block := file.read(2**20):
            end = 0
            text = rest + block
            for match in _OBJECT.finditer(text):
                end = match.end()
                try:
                    value = json.loads(match[0])
                except (ValueError, RecursionError):
                    continue
                assembly.points.thin()
                _add([value], assembly)
            rest = text[end:][-(2**20) :]
    return assembly.facts.rows > 0


def _add(rows: Iterable[Any], assembly: CurveAssembly) -> None:
    for row in rows:
        if not isinstance(row, dict):
            assembly.facts.skipped += 1
            continue
        cells = flat(row)
        if len(assembly.facts.names) < 500:
            assembly.facts.names.update(k for k, v in cells.items() if v is not None)
        if not assembly.add(row_of_object(cells)):
            assembly.facts.skipped += 1


def _rows_in(value: object) -> list[Any] | None:
    """Return the longest list of objects with a loss in `value`, or its columns as rows."""
    best: list[Any] | None = None
    pending: list[tuple[object, int]] = [(value, 0)]
    while pending:
        inner, depth = pending.pop()
        if isinstance(inner, list):
            if any(isinstance(row, dict) for row in inner) and (
                best is None or len(inner) > len(best)
            ):
                best = inner
        elif isinstance(inner, dict) and depth < DEEPEST:
            columns = _columns(inner)
            if columns and (best is None or len(columns) > len(best)):
                best = columns
            pending += [(child, depth + 1) for child in inner.values()]
    return best


def _columns(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return rows of a dictionary whose values are lists of numbers, one of them of losses."""
    lists = {
        k: v for k, v in value.items() if isinstance(v, list) and v and not isinstance(v[0], dict)
    }
    if not any((m := column_meaning(k)) is not None and m.role == "loss" for k in lists):
        return []
    max_rows = max(map(len, lists.values()))
    return [{k: v[i] for k, v in lists.items() if i < len(v)} for i in range(max_rows)]


def read_table(path: Path, assembly: CurveAssembly) -> bool:
    """Read a file with columns; False if its first line names no loss."""
    lines = read_lines(path)
    first = next((line for line in lines if line.text.strip()), None)
    if first is None:
        return False
    separator = next((s for s in (",", ";", "\t") if s in first.text), None)
    header = _cells_of(first.text, separator)
    if header is None or len(header) < 2 or any(number(name) is not None for name in header):
        return False
    header = [name.strip().strip("\"'") for name in header]
    long = _long_form(header)
    if long is None and not _names_a_loss(header):
        return False
    assembly.facts.kind = "table"
    chart = chart_name(path) if long is None and _is_tensorboard(header) else None
    assembly.facts.names.update(header[:300])
    table = _table_rows(lines, header, separator, chart, long)
    head = list(islice(table, _HEAD_ROWS))
    if None in head:
        return False  # other lines stand between: that is a console
    columns = NumberColumns([row[0] for row in head if row is not None])
    rows: list[Row] = []
    for read in chain(head, table):
        if read is None:
            return False
        values, line = read
        row = row_of_object(columns.to_english(values), line)
        if long is not None:
            rows.append(row)
        elif not assembly.add(row):
            assembly.facts.skipped += 1
        assembly.facts.read_end(line.text)
    # One metric after the other: in order of steps they are a log.
    for row in sorted(rows, key=lambda r: r.step or 0.0):
        assembly.add(row)
    return assembly.facts.rows > 0


def _table_rows(
    lines: Iterable[Line],
    header: list[str],
    separator: str | None,
    chart: str | None,
    long: tuple[str, str] | None,
) -> Iterator[tuple[dict[str, str], Line] | None]:
    """Yield the cells of each line by the names of the header; None for a line that is no row."""
    for line in lines:
        cells = _cells_of(line.text, separator)
        if not cells or not line.text.strip():
            continue
        if separator is None and len(cells) != len(header):
            yield None
            return
        if chart is not None:
            values = {"step": cells[1], chart: cells[2]} if len(cells) > 2 else {}
        else:
            values = dict(zip(header, cells, strict=False))
        if long is not None:
            name, value = (values.pop(column, "") for column in long)
            values = {name: value} | values
        yield {k: v for k, v in values.items() if v.strip().lower() not in MISSING}, line


def _cells_of(text: str, separator: str | None) -> list[str] | None:
    if separator is None:
        return text.split()
    if '"' not in text:
        return text.split(separator)
    try:
        return next(csv.reader([text], delimiter=separator), None)
    except csv.Error:
        return None


def _names_a_loss(header: list[str]) -> bool:
    if _is_tensorboard(header):
        return True
    meanings = [m for name in header if (m := column_meaning(name)) is not None]
    roles = [m.role for m in meanings]
    return "loss" in roles or roles.count("split") > 1 or ("split" in roles and "step" in roles)


def _is_tensorboard(header: list[str]) -> bool:
    return [h.lower().replace("_", " ") for h in header] == ["wall time", "step", "value"]


def _long_form(header: list[str]) -> tuple[str, str] | None:
    spelled = {name.lower(): name for name in header}
    key = next((spelled[n] for n in _LONG_FORM["key"] if n in spelled), None)
    value = next((spelled[n] for n in _LONG_FORM["value"] if n in spelled), None)
    return (key, value) if key and value else None


def rows_of_scalars(scalars: Iterable[tuple[float, Mapping[str, float]]]) -> Iterator[Row]:
    """Yield rows of numbers by name at steps, as event files hold them."""
    for step, values in scalars:
        yield row_of_object({"step": step, **values})
