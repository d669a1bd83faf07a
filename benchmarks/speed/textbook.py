"""The peer that a textbook would write: a GPT and a training loop in plain PyTorch.

Learned positions, LayerNorm, GELU, tied head, torch's own attention kernel, fused AdamW, no dropout
unless requested: the network of nanoGPT at the sizes given, without any trick of ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TextbookBlock(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, width: int, heads: int, ff: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, ff), nn.Linear(ff, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, -1).transpose(1, 2)
            for part in self.attention(self.norm_1(x)).split(width, dim=2)
        )
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
        y = self.project(y.transpose(1, 2).reshape(batch, length, width))
        x = x + F.dropout(y, dropout)
        return x + F.dropout(self.down(F.gelu(self.up(self.norm_2(x)))), dropout)


class TextbookGPT(nn.Module):
    """Token ids (B, T) to logits (B, T, V)."""

    def __init__(
        self, vocabulary: int, width: int, heads: int, layers: int, ff: int, context: int,
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(TextbookBlock(width, heads, ff, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight
        for weight in self.parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))
