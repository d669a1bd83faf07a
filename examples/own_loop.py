"""A training loop in plain PyTorch, written so that `descend check` can check it.

descend check examples/own_loop.py
python examples/own_loop.py
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

VOCABULARY, WIDTH, CONTEXT, BATCH = 64, 32, 16, 8

torch.manual_seed(0)
tokens = torch.randint(VOCABULARY, (4000,)).cumsum(0) % VOCABULARY


class Network(nn.Module):
    """One causal transformer block."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.position = nn.Parameter(torch.randn(CONTEXT, WIDTH) * 0.02)
        self.joined = nn.Linear(WIDTH, 3 * WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (batch, time, vocabulary) of ids (batch, time)."""
        hidden = self.embedding(ids) + self.position[: ids.shape[1]]
        query, key, value = self.joined(self.norm(hidden)).chunk(3, dim=-1)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        logits: Tensor = self.head(hidden + mixed)
        return logits


model = Network()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.003, weight_decay=0.0)


def get_batch() -> tuple[Tensor, Tensor]:
    """Inputs and targets (batch, time) at random places of the text."""
    starts = torch.randint(len(tokens) - CONTEXT - 1, (BATCH,))
    windows = torch.stack([tokens[start : start + CONTEXT + 1] for start in starts.tolist()])
    return windows[:, :-1], windows[:, 1:]


def step(inputs: Tensor, targets: Tensor) -> Tensor:
    """One step of training; returns the loss."""
    loss = functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


if __name__ == "__main__":
    for number in range(1, 201):
        loss = step(*get_batch())
        if number % 50 == 0:
            print(f"step {number}  loss {loss:.3f}")
