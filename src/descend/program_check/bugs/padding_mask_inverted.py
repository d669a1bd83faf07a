"""The padding mask hides the text.

What it is:
    Attention is given a mask that is the wrong way round: it leaves out the tokens of the text and
    sees the padding alone.

How it shows:
    The network learns from single tokens or not at all, and the loss stays near that of guessing
    or becomes NaN where a row has no padding.

Not to be confused:
    In torch, True in `key_padding_mask` means: leave out. In `attention_mask` of transformers, 1
    means: look at. For `scaled_dot_product_attention`, True means: look at.

Proof:
    The masks that attention is given in the first steps are laid beside the token ids. All that is
    seen is one token, and what is hidden are several others.

How to fix:
    `src_key_padding_mask = ids == pad_id` in torch, `attention_mask = ids != pad_id` in
    transformers.

When it is not this:
    Attention is written by hand or gets no mask of padding.

Source:
    torch.nn.MultiheadAttention, `key_padding_mask`; transformers glossary, "attention mask".
"""

from __future__ import annotations

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.padding_masks import (
    ATTENTION_MASK,
    looks_at_padding_only,
    record_padding_masks,
)
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult


def look(program: Program) -> CheckResult:
    """Lay the padding masks of the first steps beside the ids."""
    masks = program.run_probe_once(record_padding_masks)
    inverted = [mask for mask in masks if looks_at_padding_only(mask)]
    # With padding in the batch, that is what is seen; without any, all of the text is hidden.
    if not any(not mask.hidden_BT.all() for mask in inverted):
        return BugAbsent(f"{len(masks)} padding masks let the text be seen")
    mask = next(mask for mask in inverted if not mask.hidden_BT.all())
    token = int(mask.ids_BT[~mask.hidden_BT][0])
    hides = "0" if mask.argument == ATTENTION_MASK else "True"
    return BugPresent(
        f"in {len(inverted)} of {len(masks)} calls `{mask.argument}` hides every token of the text "
        f"and lets only the padding (token {token}) be seen: {hides} means hidden there",
        f"model.{mask.part}" if mask.part else program.source_location("model"),
    )


BUG = Bug(
    name_of(__name__), look,
    "invert the mask: `key_padding_mask = ids == pad_id` in torch, `attention_mask = ids != "
    "pad_id` in transformers",
)  # fmt: skip
