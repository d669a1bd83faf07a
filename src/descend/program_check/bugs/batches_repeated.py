"""Batches are repeated.

What it is:
    The same batch comes again and again: it is drawn outside the loop, workers draw the same random
    numbers, or a step ignores the batch that it is given.

How it shows:
    The training loss falls to zero within few steps, and the validation loss rises from the start.

Not to be confused:
    A new epoch over a small text brings the same batches back, after all others have been seen.

Proof:
    The first batches are compared token by token, and so are those that the network really gets.

How to fix:
    Draw inside the loop; seed each worker differently (`worker_init_fn`), and do not reseed before
    every draw.

When it is not this:
    One batch is memorized on purpose, as a test; the whole text fits into one batch.

Source:
    PyTorch and numpy random seeds in workers: T. Bekman, tanelp.github.io (2021).
"""

from __future__ import annotations

from torch import Tensor

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.batch_provenance import (
    data_size,
    find_token_sequences,
    first_batch_rows,
)
from descend.program_check.probes.dry_run import dry_run
from descend.program_check.program import Program, describe_missing
from descend.program_check.results import (
    BugAbsent,
    BugPresent,
    CheckResult,
    Undetermined,
    UndeterminedError,
)

MIN_BATCHES = 4
"""Batches below which a repetition says nothing."""

REPEATED = 0.25
"""Fraction of batches that stood before, from which it is no chance."""

COVERED = 0.5
"""Fraction of the text that must have been seen before it may begin anew."""


def look(program: Program) -> CheckResult:
    """Compare batches with those before them."""
    if not program.has("batches"):
        return _check_network_inputs(program) or Undetermined(describe_missing("batches"))
    batches = program.run_probe_once(first_batch_rows)
    if len(batches) < MIN_BATCHES:
        return Undetermined(f"only {len(batches)} batches before they end")
    keys = [_key(batch) for batch in batches]
    again = sum(key in keys[:n] for n, key in enumerate(keys))
    alike = sum(len({_key(row) for row in batch}) == 1 for batch in batches if len(batch) > 1)
    where = program.source_location("batches")
    if again >= REPEATED * len(keys) and not _new_epoch(program, batches, keys):
        return BugPresent(f"{again} of the first {len(keys)} batches repeat an earlier one", where)
    if alike >= REPEATED * len(keys):
        return BugPresent(
            f"{alike} of the first {len(keys)} batches hold one row many times", where
        )
    return _check_network_inputs(program) or BugAbsent(
        f"{again} of the first {len(keys)} batches repeat an earlier one"
    )


def _new_epoch(program: Program, batches: list[Tensor], keys: list[bytes]) -> bool:
    """Return whether the batches came back since the text had been seen."""
    period = next((n for n in range(1, len(keys)) if keys[n] == keys[0]), len(keys))
    distinct = len(set(keys[:period])) == period
    num_tokens = sum(batch.numel() for batch in batches[:period])
    if period < MIN_BATCHES:  # a few batches are all there is, if the program has no other data
        size = data_size(program)
        return size is not None and num_tokens >= COVERED * size
    text = max((t.numel() for t in find_token_sequences(program)), default=None)
    return distinct if text is None else num_tokens >= COVERED * text


def _check_network_inputs(program: Program) -> CheckResult | None:
    """Return whether the network gets the same ids in every step though the batches differ."""
    try:
        dry_run_result = program.run_probe_once(dry_run)
    except UndeterminedError:
        return None
    got = [_key(calls[0].ids_BT) for calls in dry_run_result.model_calls if calls]
    batch_keys = (
        {_key(batch) for batch in program.run_probe_once(first_batch_rows)}
        if program.has("batches")
        else None
    )
    if (
        len(got) >= MIN_BATCHES
        and len(set(got)) == 1
        and (batch_keys is None or len(batch_keys) > 1)
        and not _is_all_data(program, dry_run_result.model_calls[0][0].ids_BT)
    ):
        return BugPresent(
            f"the network got the same ids in all of {len(got)} steps",
            program.source_location("batches" if program.has("batches") else "step"),
        )
    return None


def _is_all_data(program: Program, ids: Tensor) -> bool:
    """Return whether one batch holds most of what the program trains on."""
    size = data_size(program)
    return size is not None and ids.numel() >= COVERED * size


def _key(ids: Tensor) -> bytes:
    return ids.cpu().contiguous().numpy().tobytes()


BUG = Bug(name_of(__name__), look, "draw a new batch in every step; seed workers differently")
