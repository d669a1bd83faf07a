"""What the Hugging Face Trainer leaves: dictionaries on the console, and `trainer_state.json`.

Console: `{'loss': 2.1, 'grad_norm': 1.2, 'learning_rate': 4.9e-05, 'epoch': 0.5}`, evaluations as
`{'eval_loss': 2.0, …, 'epoch': 1.0}`; since version 5 the values are written as text. A progress
bar may stand on the same line. Neither names the step, so that the console is read by epochs.
`trainer_state.json` holds the same under `log_history`, with steps.
Source: transformers, trainer_callback.py (`PrinterCallback`, `ProgressCallback`, `TrainerState`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from descend.doctor.logs.log import Log, log_of

_DICTIONARY = re.compile(r"\{[^{}]*\}")
_PAIR = re.compile(r"['\"]([\w/.-]+)['\"]\s*:\s*('[^']*'|\"[^\"]*\"|[^,}\s]+)")
_OF_THE_WHOLE_RUN = ("train_runtime", "train_samples_per_second")
"""Keys of the last line, whose `train_loss` is the mean over the run and no point of the curve."""


def parse_console(text: str) -> Log | None:
    """The Trainer's lines in `text`, or None if there are none."""
    rows: list[Mapping[str, Any]] = []
    skipped = 0
    for line in re.split(r"[\r\n]+", text):
        found = [dict(_PAIR.findall(part)) for part in _DICTIONARY.findall(line)]
        kept = [row for row in found if _is_point(row)]
        rows += kept
        skipped += bool(line.strip()) and not kept
    return log_of("Hugging Face Trainer, console", rows, skipped) if rows else None


def parse_state(text: str) -> Log | None:
    """The curve in the text of a `trainer_state.json`, or None if it is none."""
    try:
        state = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return _with_nan(text)
    return _from_history(state)


def _with_nan(text: str) -> Log | None:
    """Python writes NaN and Infinity into JSON, which is no JSON: read by Python's own reader."""
    import json

    try:
        return _from_history(json.loads(text))
    except ValueError:
        return None


def _from_history(state: object) -> Log | None:
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(history, list):
        return None
    rows = [row for row in history if isinstance(row, dict) and _is_point(row)]
    log = log_of("Hugging Face Trainer, trainer_state.json", rows, len(history) - len(rows))
    return log if rows else None


def _is_point(row: Mapping[str, Any]) -> bool:
    if any(key in row for key in _OF_THE_WHOLE_RUN):
        return False
    return "loss" in row or "eval_loss" in row
