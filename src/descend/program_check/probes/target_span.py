"""Where the targets of a text begin and end: whether its ends are ever requested.

Shapes: B batch, T position.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from descend.program_check.instrumentation.call_recorder import ModelCall
from descend.program_check.probes.loss_probe import LossProbe
from descend.program_check.probes.padding import detect_pad_token
from descend.program_check.probes.target_shift import AGREE, target_shift
from descend.program_check.program import Program

MIN_ROWS = 4
"""Rows with an end from which their common last token is no chance."""

MIN_FRACTION = 0.9
"""Of the rows with an end: those that end with one token, and whose token before it counts."""

MIN_PROMPTS = 8
"""Rows with a prompt that is left out, from which their tokens are compared."""

MAX_FRACTION_VARIED = 0.5
"""Of the rows, those with the most frequent token of a position at which rows differ."""

NAMES = ("eos_token_id", "eos_id", "eos", "EOS", "EOS_ID", "EOS_TOKEN_ID", "eos_idx", "EOT",
         "eot_id", "end_id", "END", "eot_token_id")  # fmt: skip


@dataclass(frozen=True)
class ShiftedBegin:
    """Answers whose targets seem to begin one token away from the end of the prompt."""

    token: int
    """What ends the prompts."""
    rows: int
    is_late: bool
    """Whether the first token of the answers is left out; else the prompt's last one is not."""


@dataclass(frozen=True)
class MaskedEnd:
    """A token that ends texts and is never a target."""

    token: int
    rows: int
    num_ended: int
    is_padding: str
    """What to add where the token fills rows up as well; else empty."""


def shifted_begin(probe: LossProbe) -> ShiftedBegin | None:
    """Compare the tokens around the first target of each row that has a prompt left out.

    A prompt ends with one token in all rows, and what follows differs. None where the first target
    is what follows, or where that cannot be determined.
    """
    shift = target_shift(probe)
    if shift is None or shift.agreement[1] < AGREE:
        return None
    around: list[list[int]] = []
    for model_call in probe.model_calls:
        w, ids = model_call.weights_BT, model_call.ids_BT
        if w is None or w.shape != ids.shape or ids.ndim != 2:
            continue
        for row in range(ids.shape[0]):
            live = torch.nonzero(w[row] > 0)
            first = int(live[0]) if len(live) else 0  # asks for the token after it
            if 2 <= first < ids.shape[1] - 2:
                around.append(ids[row, first - 1 : first + 3].tolist())
    if len(around) < MIN_PROMPTS:
        return None
    before_last, last, begin, second = map(_frequent_token, zip(*around, strict=True))
    varied, fixed = MAX_FRACTION_VARIED, MIN_FRACTION
    if before_last[1] >= fixed and last[1] <= varied and begin[1] <= varied:
        return ShiftedBegin(before_last[0], len(around), is_late=True)
    if begin[1] >= fixed and last[1] <= varied and second[1] <= varied:
        return ShiftedBegin(begin[0], len(around), is_late=False)
    return None


def _frequent_token(tokens: Sequence[int]) -> tuple[int, float]:
    """Return the most frequent token, and its fraction."""
    token, count = Counter(tokens).most_common(1)[0]
    return token, count / len(tokens)


def masked_end(program: Program, probe: LossProbe) -> MaskedEnd | None:
    """Find the token that ends rows; None unless it is left out of the loss in all."""
    shift = target_shift(probe)
    if shift is None or shift.agreement[1] < AGREE:
        return None
    pad, _ = detect_pad_token(program)
    known = end_tokens(program)
    ends: list[tuple[int, bool, bool]] = []
    for model_call in probe.model_calls:
        ends.extend(_ends(model_call, pad, known))
    if len(ends) < MIN_ROWS:
        return None
    tokens = [token for token, _, _ in ends]
    token = max(set(tokens), key=tokens.count)
    own = [e for e in ends if e[0] == token]
    before = sum(counts for _, counts, _ in own)
    if len(own) < MIN_FRACTION * len(ends) or before < MIN_FRACTION * len(own):
        return None
    if any(counts for _, _, counts in own):
        return None
    also = ", as it also fills the rows up" if token == pad else ""
    return MaskedEnd(token, len(own), len(ends), also)


def end_tokens(program: Program) -> set[int]:
    """Return what the program, its tokenizer or its network's settings call the end of a text."""
    config = getattr(program.model, "config", None)
    holders: list[Any] = [program.parts.get("tokenizer"), config]
    values = [program.namespace.get(n) for n in NAMES]
    values += [getattr(h, n, None) for h in holders for n in NAMES]
    return {v for v in values if isinstance(v, int) and not isinstance(v, bool)}


def _ends(model_call: ModelCall, pad: int | None, known: set[int]) -> list[tuple[int, bool, bool]]:
    """Of each row with an end: its last token, and whether the one before, and it, are targets."""
    w, ids = model_call.weights_BT, model_call.ids_BT
    if w is None or w.shape != ids.shape or ids.ndim != 2:
        return []
    mask = model_call.kwargs.get("attention_mask")
    if not isinstance(mask, Tensor) or mask.shape != ids.shape:
        mask = None
    positions = []
    for row in range(ids.shape[0]):
        last = _last(ids[row], None if mask is None else mask[row], pad, known)
        if last is not None and last >= 2:
            positions.append((int(ids[row, last]), bool(w[row, last - 2] > 0),
                          bool(w[row, last - 1] > 0)))  # fmt: skip
    return positions


def _last(ids: Tensor, mask: Tensor | None, pad: int | None, known: set[int]) -> int | None:
    """Place of the last token of a row that ends within the window; None where it does not."""
    length = ids.numel()
    whole = mask is None or bool((mask != 0).all())
    if length > 1 and whole and int(ids[-1]) in known and int(ids[-2]) != int(ids[-1]):
        return length - 1  # without padding: it ends if it says so
    if mask is not None and bool(mask[0] != 0) and bool(mask[-1] == 0):
        live = int((mask != 0).sum())
        return live - 1 if bool((mask[:live] != 0).all()) else None
    if pad is None or int(ids[-1]) != pad:
        return None
    others = torch.nonzero(ids != pad)
    if not len(others):
        return None
    last = int(others[-1])
    if pad in known:  # the first of the filling ends the text
        return last + 1 if last + 2 < length else None
    return last if last + 2 < length else None
