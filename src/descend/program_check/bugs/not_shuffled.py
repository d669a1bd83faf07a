"""The data is not shuffled.

What it is:
    Batches run through the text from its beginning, neighbours together.

How it shows:
    The loss rises and falls with the text, each epoch in the same way; what stands at the end of
    the text is remembered best.

Not to be confused:
    A recurrent network that carries its state on is given a text in order on purpose: there each
    row goes on in the same row of the next batch.

Proof:
    The rows of the first batches are found in the program's own text; their places must not form
    one rising line.

How to fix:
    `shuffle=True` in the DataLoader, or a new permutation of the windows each epoch.

When it is not this:
    A stream that was shuffled before, or is read once and too large to matter.

Source:
    Karpathy, A Recipe for Training Neural Networks (2019); torch DataLoader: shuffle is False.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, SequentialSampler

from descend.program_check.bug import Bug, name_of
from descend.program_check.instrumentation.token_ids import tokens_of
from descend.program_check.probes.batch_provenance import (
    RowPositions,
    first_batch_rows,
    locate_rows,
)
from descend.program_check.probes.dry_run import dry_run
from descend.program_check.program import Program
from descend.program_check.results import (
    BugAbsent,
    BugPresent,
    CheckResult,
    Undetermined,
    UndeterminedError,
)

MIN_ROWS = 12
"""Rows whose order says something: by chance 12 stand in order once in 479 million times."""

MIN_BATCHES = 6

IN_ORDER = 0.95
"""Fraction of rows that go on where the one before stood, or just after it."""


def look(program: Program) -> CheckResult:
    """Find the rows in the text."""
    try:
        row_positions = program.run_probe_once(locate_rows)
    except UndeterminedError as reason:
        return _without_text(program, str(reason))
    if len(row_positions.starts) < MIN_ROWS:
        return Undetermined(f"only {len(row_positions.starts)} rows in the first batches")
    if row_positions.rows_a_batch == 1 and _carries_state(program):
        return BugAbsent("each batch goes on where the one before ended, with its state")
    on, of = _goes_on(row_positions)
    if on >= IN_ORDER * of:
        return BugPresent(
            f"{on} of {of} rows continue where the row before ended, from token "
            f"{min(row_positions.starts[0] or [0]):,} on",
            program.source_location("batches"),
        )
    if _batch_by_batch(row_positions):
        return BugPresent(
            "each batch covers the text right after that of the one before",
            program.source_location("batches"),
        )
    return BugAbsent(f"{on} of {of} rows continue where the row before ended")


def _carries_state(program: Program) -> bool:
    """Return whether a step hands numbers of its own to the network, which differ from step to
    step."""
    try:
        calls = program.run_probe_once(dry_run).learned()
    except UndeterminedError:
        return False
    states = [tuple(float(t.detach().double().sum()) for t in _numbers_in([*c.args, c.kwargs]))
              for c in calls]  # fmt: skip
    return len(states) > 1 and bool(states[-1]) and len(set(states)) > len(states) // 2


def _numbers_in(value: Any) -> list[Tensor]:
    """Return the floating-point tensors in arguments."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    inner = value.values() if isinstance(value, Mapping) else value
    return [t for x in inner for t in _numbers_in(x)] if isinstance(
        value, Mapping | tuple | list) else []  # fmt: skip


def _goes_on(row_positions: RowPositions) -> tuple[int, int]:
    """Return rows that can stand after the row before, and rows of which that could be tested."""
    known = [(n, starts) for n, starts in enumerate(row_positions.starts) if starts]
    on = 0
    last, before = known[0]
    for number, starts in known[1:]:
        reach = 2 * row_positions.width * (number - last)
        after = [b for b in starts if any(0 < b - a <= reach for a in before)]
        on += bool(after)
        last, before = number, after or starts
    return on, len(known) - 1


def _batch_by_batch(row_positions: RowPositions) -> bool:
    """Return whether batches follow the text though rows inside a batch are mixed."""
    size = row_positions.rows_a_batch
    parts = [
        row_positions.starts[i : i + size]
        for i in range(0, len(row_positions.starts) - size + 1, size)
    ]
    known = [[starts[0] for starts in part if len(starts) == 1] for part in parts]
    if size < 2 or len(known) < MIN_BATCHES or not all(known):
        return False
    return all(max(a) < min(b) for a, b in pairwise(known))


def _without_text(program: Program, reason: str) -> CheckResult:
    """Return what the rows say of each other, and what a DataLoader says of itself."""
    batches = program.run_probe_once(first_batch_rows)
    flat = [row for batch in batches for row in batch]
    if len(flat) >= MIN_ROWS and _overlap(flat):
        return BugPresent(
            "each row of the first batches is the one before, moved on by a few tokens",
            program.source_location("batches"),
        )
    loader = program.get("batches")
    if isinstance(loader, DataLoader):
        # Beside a batch sampler of the program's own, torch invents a sampler that nobody asks.
        sampler = getattr(loader.batch_sampler, "sampler", None) or (
            loader.sampler if loader.batch_sampler is None else None
        )
        if sampler is None or isinstance(loader.dataset, IterableDataset):
            return Undetermined(reason)
        if not isinstance(sampler, SequentialSampler):
            return BugAbsent(f"the loader draws by {type(sampler).__name__}")
        data: Any = loader.dataset
        if _gives_the_same(data) and loader.batch_size != len(data):
            return BugPresent(
                f"the loader goes through its {len(data)} rows in order, from the first "
                "on (SequentialSampler)",
                program.source_location("batches"),
            )
    return Undetermined(reason)


def _gives_the_same(dataset: Any) -> bool:
    """Return whether a data set has fixed rows: one that draws anew each time is shuffled as it
    is."""
    first, again = tokens_of([dataset[0]]), tokens_of([dataset[0]])
    if first is None or again is None:
        one, other = dataset[0], dataset[0]
        if isinstance(one, Mapping):
            one, other = list(one.values()), list(other.values())
        pairs = zip(one, other, strict=True) if isinstance(one, tuple | list) else [(one, other)]
        return all(
            a is b or bool((torch.as_tensor(a) == torch.as_tensor(b)).all()) for a, b in pairs
        )
    return torch.equal(first, again)


def _overlap(flat: list[Tensor]) -> bool:
    """Return whether each row repeats most of the one before, moved on."""
    width = flat[0].numel()
    for stride in range(1, width // 2 + 1):
        pairs = list(pairwise(flat))
        same = sum(a.shape == b.shape and bool((a[stride:] == b[:-stride]).all()) for a, b in pairs)
        if same >= IN_ORDER * len(pairs) and not all(bool((r == r[0]).all()) for r in flat):
            return True
    return False


BUG = Bug(name_of(__name__), look, "shuffle the windows anew in each epoch (`shuffle=True`)")
