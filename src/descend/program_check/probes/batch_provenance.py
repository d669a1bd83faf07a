"""Where the batches of a program come from in its text: rows found in its long runs of tokens.

Shapes: N tokens of the text, B batch, T position.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.program_check.instrumentation.object_graph import is_hidden, reachable_objects
from descend.program_check.instrumentation.token_ids import tokens_of
from descend.program_check.probes.data_source import read_first_batches
from descend.program_check.probes.loss_probe import first_model_call
from descend.program_check.program import Program
from descend.program_check.results import UndeterminedError

MIN_TEXT = 256
"""Tokens from which a run of whole numbers is taken for a text."""

MAX_TOKENS = 2**24
"""Of a longer text so much is searched."""

MAX_ROWS = 512

MAX_POSITIONS_PER_ROW = 16
"""Places of a row up to which its order can be determined: a text repeats itself."""

MIN_LOCATED_FRACTION = 0.5
"""Fraction of rows that must have so few places, for the others not to matter."""


def first_batch_rows(program: Program) -> list[Tensor]:
    """Return the ids of the first batches as (B, T), in order."""
    batches = [
        t
        for t in map(tokens_of, program.run_probe_once(read_first_batches).batches)
        if t is not None
    ]
    if not batches:
        raise UndeterminedError("the batches hold no token ids of two dimensions")
    try:
        input_ids = first_model_call(program).ids_BT
        columns = input_ids.shape == batches[0].T.shape and torch.equal(input_ids, batches[0].T)
    except UndeterminedError:
        columns = False
    return [t.T if columns else t for t in (x.cpu().long() for x in batches)]


def find_token_sequences(program: Program) -> list[Tensor]:
    """Return every long run of whole numbers that the program can get at, as (N,) each."""
    sequences = []
    for value in reachable_objects(program.namespace, program.parts):
        ids = _run_of(value)
        if ids is not None and ids.numel() >= MIN_TEXT:
            sequences.append(ids[:MAX_TOKENS])
    return sequences


def _run_of(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        whole = (
            not value.is_floating_point() and not value.is_complex() and value.dtype != torch.bool
        )
        return value.detach().cpu().long() if whole and value.ndim == 1 else None
    if isinstance(value, np.ndarray):
        fits = value.ndim == 1 and value.dtype.kind in "iu"
        return torch.from_numpy(np.asarray(value[:MAX_TOKENS]).astype(np.int64)) if fits else None
    if isinstance(value, list) and len(value) >= MIN_TEXT:
        ids = value[:MAX_TOKENS]
        return torch.tensor(ids) if all(type(x) is int for x in ids) else None
    return None


@dataclass(frozen=True)
class RowPositions:
    """Where rows begin in the text they come from."""

    starts: list[list[int]]
    """Of each row every place where it stands; empty where there are too many to say."""
    width: int
    """Tokens of a row."""
    rows_a_batch: int
    text: int
    """Tokens of the text."""


def locate_rows(program: Program) -> RowPositions:
    """Find the rows of the first batches in the program's text; `UndeterminedError` where they are
    not."""
    batches = program.run_probe_once(first_batch_rows)
    width = batches[0].shape[1]
    flat = [row for batch in batches if batch.shape[1] == width for row in batch][:MAX_ROWS]
    for text in find_token_sequences(program):
        starts = _find(text, flat, width)
        if starts is not None:
            return RowPositions(starts, width, batches[0].shape[0], text.numel())
    raise UndeterminedError("the batches could not be found in a text that the module holds")


def _find(text: Tensor, flat: list[Tensor], width: int) -> list[list[int]] | None:
    """Return where each row begins in `text`; None unless all are there, and most at few places."""
    if text.numel() <= width:
        return None
    windows = text.unfold(0, width, 1)
    starts: list[list[int]] = []
    for row in flat:
        hits = (windows[:, 0] == row[0]).nonzero()[:, 0]
        for column in range(1, width):
            if len(hits) <= 1:
                break
            hits = hits[windows[hits, column] == row[column]]
        exact = [int(h) for h in hits if torch.equal(windows[h], row)]
        if not exact:
            return None
        starts.append(exact if len(exact) <= MAX_POSITIONS_PER_ROW else [])
    return starts if sum(map(bool, starts)) >= MIN_LOCATED_FRACTION * len(starts) else None


def data_size(program: Program) -> int | None:
    """Return numbers of the largest tensor, array, or list of lists of whole numbers that the
    program can get at; None without any."""
    sizes = [size for value in reachable_objects(program.namespace, program.parts)
             if (size := _size_of(value))]  # fmt: skip
    return max(sizes, default=None)


def _size_of(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() if value.dtype in INTEGERS else 0
    if isinstance(value, np.ndarray):
        return int(value.size) if value.dtype.kind in "iu" else 0
    if isinstance(value, list) and value and isinstance(value[0], list):
        return sum(len(x) for x in value if isinstance(x, list) and x and type(x[0]) is int)
    return len(value) if isinstance(value, list) and value and type(value[0]) is int else 0


INTEGERS = (torch.int64, torch.int32, torch.int16, torch.uint8)


def find_texts(program: Program) -> list[str]:
    """Return every long text that the program can get at."""
    texts: list[str] = []
    spaces: list[Mapping[str, Any]] = [program.namespace]
    spaces += [
        v for v in reachable_objects(program.namespace, program.parts) if isinstance(v, dict)
    ]
    for names in spaces:
        for value in [v for k, v in list(names.items()) if not is_hidden(k)]:
            if isinstance(value, str) and len(value) >= MIN_TEXT:
                texts.append(value)
            elif (
                isinstance(value, list) and value and all(isinstance(x, str) for x in value[:1000])
            ):
                texts.append("\n".join(value[:1000]))
    return [s for s in dict.fromkeys(texts) if len(s) >= MIN_TEXT]
