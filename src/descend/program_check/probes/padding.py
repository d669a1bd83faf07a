"""Which token fills texts up, and where it does."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from descend.program_check.instrumentation.call_recorder import ModelCall
from descend.program_check.instrumentation.token_ids import tokens_of
from descend.program_check.probes.batch_provenance import first_batch_rows
from descend.program_check.probes.data_source import read_first_batches
from descend.program_check.program import Program

NAMES = (
    "pad_id",
    "pad_token_id",
    "PAD",
    "PAD_ID",
    "pad",
    "pad_idx",
    "PAD_IDX",
    "pad_index",
    "PAD_TOKEN_ID",
)

LONG_TAIL = 2
"""Equal tokens at the end of a row from which it may be padding."""

PADDED_ROWS = 0.25
"""Fraction of rows that end so, from which a token that stands nowhere else is the padding."""


def detect_pad_token(program: Program) -> tuple[int | None, str]:
    """Return the padding and how it is known; None and why it is not."""
    for name in NAMES:
        value = program.namespace.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value, f"`{name}`"
    for name in ("pad_token_id", "pad_id", "pad"):
        value = getattr(program.parts.get("tokenizer"), name, None)
        if isinstance(value, int) and not isinstance(value, bool):
            return value, f"the tokenizer's {name}"
    for module in program.model.modules():
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            return module.padding_idx, "`padding_idx` of the embedding"
    if not program.has("batches"):
        return None, "no batches to look for padding in"
    by_mask = _masked(program)
    if by_mask is not None:
        return by_mask, "where the attention mask is 0"
    return _by_tails(program.run_probe_once(first_batch_rows))


def _masked(program: Program) -> int | None:
    for batch in program.run_probe_once(read_first_batches).batches[:8]:
        mask = batch.get("attention_mask") if isinstance(batch, Mapping) else None
        ids = tokens_of(batch)
        if isinstance(mask, Tensor) and ids is not None and mask.shape == ids.shape:
            hidden = ids[mask == 0]
            if len(hidden) and bool((hidden == hidden[0]).all()):
                return int(hidden[0])
    return None


def _by_tails(batches: list[Tensor]) -> tuple[int | None, str]:
    """Return a token that ends many rows, at different lengths, and stands nowhere else."""
    tails: list[tuple[int, int]] = []
    for row in (r for batch in batches[:8] for r in batch):
        other = (row != row[-1]).nonzero()
        length = row.numel() - (int(other[-1]) + 1 if len(other) else 0)
        tails.append((int(row[-1]), length))
    long = [(token, n) for token, n in tails if n >= LONG_TAIL]
    if len(long) >= max(2, PADDED_ROWS * len(tails)) and len({t for t, _ in long}) == 1:
        token = long[0][0]
        # The same token may begin a text: the first place does not count.
        inside = sum(int((r[1:] == token).sum()) for b in batches[:8] for r in b)
        if inside == sum(n for t, n in tails if t == token) and len({n for _, n in long}) > 1:
            return token, "it fills the ends of rows and occurs nowhere else"
    return None, "no padding was found in the first batches"


def padding_mask(call: ModelCall, pad: int) -> Tensor | None:
    """Return where a target is filling (B, T): padding after padding; the first may end the
    text."""
    y, w, ids = call.targets_BT, call.weights_BT, call.ids_BT
    if y is None or w is None or y.shape != ids.shape:
        return None
    # A position that is left out has no target; what it is given tells as much.
    is_pad = torch.where(w > 0, y == pad, ids == pad)
    return is_pad & _at_an_end(ids == pad)


def _at_an_end(is_pad: Tensor) -> Tensor:
    """Return where all before or all after in the row is padding too: inside, a token is a
    token."""
    numbers = is_pad.long()
    return (numbers.cumprod(1) + numbers.flip(1).cumprod(1).flip(1)) > 0
