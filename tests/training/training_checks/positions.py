"""Positions of a miniature: what the network does, against what is meant."""

from __future__ import annotations

import torch

from descend.metrics.logit_change import MIN_LOGIT_CHANGE, relative_logit_change
from descend.model.transformer import Transformer

from .failure import failure

LENGTH = 8


@torch.no_grad()
def check_positions(model: Transformer, device: str) -> None:
    """The last place tells in which order the first two tokens stand.

    One block must do it: with several, a network without positions can work them out.
    """
    ids_BT = torch.arange(LENGTH, device=device)[None]
    swapped_BT = ids_BT.clone()
    swapped_BT[0, :2] = ids_BT[0, :2].flip(0)
    model.eval()
    logit_change = float(relative_logit_change(model(ids_BT), model(swapped_BT))[0, -1].max())
    model.train()
    if not logit_change > MIN_LOGIT_CHANGE:
        raise failure(
            "the network",
            "logits that do not depend on the order of the tokens",
            "positions that are told apart",
        )
