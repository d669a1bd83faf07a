"""Training programs put together from pieces of source, as people write them.

A program is the pieces of `SLOTS` in order; a case swaps some of them. Every piece is real code that
trains a small model on a small text.
"""

from __future__ import annotations

SLOTS = ("head", "text", "tokenizer", "data", "sizes", "attention", "block", "model", "make",
         "optimizer", "schedule", "batches", "loss", "step", "more")  # fmt: skip

HEAD = """
import math, random
import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(1)
random.seed(1)
"""

TEXT = """
who = ["the cat", "a dog", "the old owl", "my sister", "some fox", "the blue boat"]
does = ["sees", "finds", "follows", "forgets", "paints"]
what = ["a tree", "the river", "no house", "every road", "its shadow", "the quiet hill", "a letter"]
text = " ".join(
    f"{random.choice(who)} {random.choice(does)} {random.choice(what)} {random.choice(['today', 'again', 'at noon'])}."
    for _ in range(400)
)
"""

TOKENIZER = """
class CharTokenizer:
    def __init__(self, text):
        self.chars = sorted(set(text))
        self.ids = {c: i for i, c in enumerate(self.chars)}
        self.vocab_size = len(self.chars)

    def encode(self, text):
        return [self.ids[c] for c in text if c in self.ids]

    def decode(self, ids):
        return "".join(self.chars[int(i)] for i in ids)

tokenizer = CharTokenizer(text)
"""

DATA = """
data = torch.tensor(tokenizer.encode(text))
"""

SIZES = """
V, D, H, L, T, B = tokenizer.vocab_size, 32, 4, 2, 24, 8
dropout = 0.1
"""

ATTENTION = """
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(D, D) for _ in range(4))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (f(x).view(B, T, H, C // H).transpose(1, 2) for f in (self.q, self.k, self.v))
        scores = q @ k.transpose(-2, -1) / math.sqrt(C // H)
        mask = torch.triu(torch.ones(T, T, dtype=torch.bool), diagonal=1)
        scores = scores.masked_fill(mask, float("-inf"))
        weights = self.dropout(scores.softmax(-1))
        return self.o((weights @ v).transpose(1, 2).reshape(B, T, C))
"""

BLOCK = """
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.attention = Attention()
        self.ff = nn.Sequential(nn.Linear(D, 4 * D), nn.GELU(), nn.Linear(4 * D, D), nn.Dropout(dropout))

    def forward(self, x):
        x = x + self.attention(self.n1(x))
        return x + self.ff(self.n2(x))
"""

MODEL = """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(V, D), nn.Embedding(T, D)
        self.blocks = nn.ModuleList(Block() for _ in range(L))
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, V)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))
"""

MAKE = """
model = Model()
"""

OPTIMIZER = """
decayed = [p for p in model.parameters() if p.ndim >= 2]
others = [p for p in model.parameters() if p.ndim < 2]
optimizer = torch.optim.AdamW(
    [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], lr=1e-3
)
"""

SCHEDULE = ""

BATCHES = """
def batches():
    while True:
        starts = torch.randint(len(data) - T - 1, (B,))
        yield torch.stack([data[i : i + T + 1] for i in starts])
"""

LOSS = """
def loss(model, batch):
    logits = model(batch[:, :-1])
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), batch[:, 1:].reshape(-1))
"""

STEP = """
def step(batch):
    model.train()
    optimizer.zero_grad()
    value = loss(model, batch)
    value.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return value.item()
"""

MORE = """
if __name__ == "__main__":
    for n, batch in zip(range(100), batches()):
        print(n, step(batch))
"""

DEFAULTS = dict(
    zip(
        SLOTS,
        (HEAD, TEXT, TOKENIZER, DATA, SIZES, ATTENTION, BLOCK, MODEL, MAKE, OPTIMIZER, SCHEDULE,
         BATCHES, LOSS, STEP, MORE),
        strict=True,
    )
)  # fmt: skip


def source(changes: dict[str, str]) -> str:
    """The program with the pieces in `changes` in place of the usual ones."""
    unknown = set(changes) - set(SLOTS)
    if unknown:
        raise ValueError(f"no such slot: {unknown}")
    return "\n".join((DEFAULTS | changes)[slot] for slot in SLOTS)


def swap(slot: str, *pairs: tuple[str, str]) -> dict[str, str]:
    """The usual piece of `slot` with some of its words replaced; each must be there."""
    piece = DEFAULTS[slot]
    for old, new in pairs:
        if old not in piece:
            raise ValueError(f"{slot} has no {old!r}")
        piece = piece.replace(old, new)
    return {slot: piece}
