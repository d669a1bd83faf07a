"""Which tokens a model takes for similar: neighbors in the space of its embedding.

Cost class: cheap; one product with the embedding.
"""

from __future__ import annotations

import torch

from descend.model.transformer import Transformer


@torch.no_grad()
def nearest_tokens(model: Transformer, token_id: int, count: int) -> list[tuple[int, float]]:
    """Return the `count` tokens whose embeddings point most nearly the same way, with the cosine.

    The token itself is left out. The cosine is 1 for the same direction, 0 for unrelated ones. The
    mean of all embeddings is taken off first: they share a direction, which hides the rest.
    Source: Mu and Viswanath 2018, "All-but-the-Top". `IndexError` for an unknown id.
    """
    vectors_VD = model.token_embedding.weight.detach().float().cpu()
    if not 0 <= token_id < len(vectors_VD):
        raise IndexError(f"token {token_id} of {len(vectors_VD)}")
    centered_VD = vectors_VD - vectors_VD.mean(0)
    unit_VD = torch.nn.functional.normalize(centered_VD, dim=-1)
    cosines_V = unit_VD @ unit_VD[token_id]
    cosines_V[token_id] = -torch.inf
    values, ids = cosines_V.topk(min(count, len(cosines_V) - 1))
    return list(zip(ids.tolist(), values.tolist(), strict=True))
