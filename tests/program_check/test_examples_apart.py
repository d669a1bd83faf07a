"""Examples of a batch that act on each other are a bug, whatever the network gives of them."""

from __future__ import annotations

import pytest

from .check_source import check_source

HEAD = """
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
V, T, D, B = 24, 12, 32, 8
"""
LOOP = """
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
dl = DataLoader(TensorDataset(inputs, labels), batch_size=B, shuffle=True)
for epoch in range(5):
    for x, y in dl:
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
"""
SERIES = (
    """
inputs, labels = torch.randn(160, T, 5), torch.randint(3, (160,))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.out = nn.LSTM(5, D, FIRST), nn.Linear(D, 3)
    def forward(self, x):
        return self.out(self.rnn(READ)[0]LAST)
"""
    + LOOP
)
REVIEWS = (
    """
inputs, labels = torch.randint(1, V, (160, T)), torch.randint(3, (160,))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.out = nn.Embedding(V, D), nn.Linear(D, 3)
        layer = nn.TransformerEncoderLayer(D, 4, 64, FIRST)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
    def forward(self, x):
        return self.out(self.encoder(self.tokens(x)).mean(1))
"""
    + LOOP
)
COMPARES = (
    """
inputs, labels = torch.randn(160, 5), torch.randint(3, (160,))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.out = nn.BatchNorm1d(5, track_running_stats=False), nn.Linear(5, 3)
    def forward(self, x):
        return self.out(self.norm(x))
"""
    + LOOP
)
GRAPH = """
points, links = torch.randn(40, 5), torch.rand(40, 40).softmax(-1)
labels = torch.randint(3, (40,))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.out = nn.Linear(5, D), nn.Linear(D, 3)
    def forward(self, x):
        return self.out(links @ F.relu(self.first(links @ x)))
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for epoch in range(50):
    optimizer.zero_grad()
    F.cross_entropy(net(points), labels).backward()
    optimizer.step()
"""
TEXTS = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.rnn, self.out = nn.Embedding(V, D), nn.GRU(D, D), nn.Linear(D, V)
    def forward(self, x):
        return self.out(self.rnn(self.tokens(x))[0])

data = (torch.randint(V, (400, 1)) + torch.randint(1, 4, (400, 1)) * torch.arange(T + 1)) % V
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for step in range(200):
    x = data[torch.randint(len(data), (B,))]TRANSPOSED
    optimizer.zero_grad()
    F.cross_entropy(net(INPUT).flatten(0, 1), TARGET.flatten()).backward()
    optimizer.step()
"""
EXPERTS = """
class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.choose = nn.Linear(D, 4, bias=False)
        self.experts = nn.ModuleList(nn.Linear(D, D) for _ in range(4))
    def forward(self, x):
        flat = x.reshape(-1, D)
        weight, chosen = self.choose(flat).softmax(-1).max(-1)
        sum_of = torch.zeros_like(flat)
        for number, expert in enumerate(self.experts):
            own = (chosen == number).nonzero()[: len(flat) // 8, 0]
            sum_of = sum_of.index_add(0, own, weight[own, None] * expert(flat[own]))
        return x + sum_of.view_as(x)
"""
OF_EXPERTS = EXPERTS + TEXTS.replace("nn.GRU(D, D)", "nn.GRU(D, D, batch_first=True)").replace(
    "self.rnn(self.tokens(x))[0]", "self.experts(self.rnn(self.tokens(x))[0])"
).replace("super().__init__()", "super().__init__()\n        self.experts = Experts()")


def series(first: str, read: str, last: str) -> str:
    return SERIES.replace("FIRST", first).replace("READ", read).replace("LAST", last)


def texts(transposed: str, inputs: str, targets: str, source: str = TEXTS) -> str:
    source = source.replace("TRANSPOSED", transposed)
    return source.replace("INPUT", inputs).replace("TARGET", targets)


MIXED = {
    "classes of series": series("batch_first=False", "x", "[:, -1]"),
    "classes of texts": REVIEWS.replace("FIRST", "dropout=0.0"),
    "next tokens": texts("", "x[:, :-1]", "x[:, 1:]"),
}
APART = {
    "classes of series": series("batch_first=True", "x", "[:, -1]"),
    "series with positions first": series(
        "batch_first=False", "x.transpose(0, 1)", "[-1]"
    ),
    "classes of texts": REVIEWS.replace("FIRST", "batch_first=True"),
    "next tokens, positions first": texts(".T", "x[:-1]", "x[1:]"),
    "a norm over the batch": COMPARES,
    "one graph": GRAPH,
}  # fmt: skip


@pytest.mark.parametrize("kind", MIXED)
def test_check_finds_examples_that_act_on_each_other(kind: str) -> None:
    (bug,) = check_source(HEAD + MIXED[kind]).bugs
    assert bug.bug == "examples_mixed"
    assert "batch_first=True" in bug.fix
    assert "model." in bug.where


@pytest.mark.parametrize("kind", APART)
def test_check_accepts_examples_that_stay_apart(kind: str) -> None:
    report = check_source(HEAD + APART[kind])
    assert report.bugs == []
    assert [r.bug for r in report.remarks if r.bug == "examples_mixed"] == []


def test_experts_of_limited_size_are_no_attention_over_the_batch() -> None:
    report = check_source(HEAD + texts("", "x[:, :-1]", "x[:, 1:]", OF_EXPERTS))
    assert "examples_mixed" in report.checked
