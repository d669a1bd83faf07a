"""Lines of numbers alone, as `print(step, loss.item())` and `print(loss)` write them."""

from __future__ import annotations

import re
from pathlib import Path

from descend.loss_logs.column_names import Meaning
from descend.loss_logs.curve_assembly import CurveAssembly
from descend.loss_logs.log_lines import Line, read_lines
from descend.loss_logs.log_row import Pair, row_of
from descend.loss_logs.number_parsing import number
from descend.loss_logs.parsers.line_pairs import EPOCH

NOTE = "no number in this log has a name: the last of each line is taken for the loss"
MIN_LINES_FRACTION = 0.8
"""Fraction of the lines that must be of this kind, or the numbers may be anything."""
MAX_ACCURACY = 1.0
"""Numbers that never exceed it may be accuracies as well."""
_VALUE = r"-?\d+\.\d*(?:e[-+]?\d+)?|-?inf|nan"
_LINE = re.compile(
    r"^(?:(?:(?P<epoch>epoch)|step|iter|iteration)[\s:=]*(?=\d))?(?:(?P<place>\d+)[\s,:|]+)?"
    rf"(?:tensor\((?P<tensor>{_VALUE})\b.*\)|(?P<loss>{_VALUE}))$",
    re.IGNORECASE,
)


def read_unnamed(path: Path, assembly: CurveAssembly) -> bool:
    """Read a file of numbers without names; False if it is of another kind."""
    matched_lines: list[tuple[re.Match[str], Line]] = []
    num_lines = 0
    for line in read_lines(path):
        text = line.text.strip()
        num_lines += bool(text)
        if (match := _LINE.match(text)) is not None:
            matched_lines.append((match, line))
    losses = [number(match["tensor"] or match["loss"]) for match, _ in matched_lines]
    if not matched_lines or len(matched_lines) < MIN_LINES_FRACTION * num_lines:
        return False
    if all(loss is None or loss <= MAX_ACCURACY for loss in losses):
        return False
    for (match, line), loss in zip(matched_lines, losses, strict=True):
        pairs: list[Pair] = [(Meaning("loss", None, 0, "loss"), loss or 0.0, None, "")]
        if match["place"]:
            counter = EPOCH if match["epoch"] else Meaning("step", None, 9, "bare")
            pairs.append((counter, float(match["place"]), None, ""))
        assembly.add(row_of(pairs, line))
    return True
