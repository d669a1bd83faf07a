"""Inputs and targets that are shuffled in two orders are a bug; one order, or none, is sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from descend.program_check.probes.shuffled_apart import shuffled_apart
from descend.program_check.run_checks import check_module

HEAD = """
import random, numpy as np, torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
n = 400
y = torch.randint(4, (n,))
X = torch.randn(4, 6)[y] + torch.randn(n, 6)
"""
SLICES = """
X_train, y_train, X_test = X[:320], y[:320], X[320:]
model = nn.Linear(6, 4)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for epoch in range(4):
    for i in range(0, len(X_train), 40):
        optimizer.zero_grad()
        logits = model(X_train[i : i + 40])
        loss = criterion(logits, y_train[i : i + 40])
        loss.backward()
        optimizer.step()
"""
LOADER = """
model = nn.Linear(6, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
loader = DataLoader(TensorDataset(X, y), batch_size=40, shuffle=True)
for epoch in range(4):
    for step, (xb, yb) in enumerate(loader):
        optimizer.zero_grad()
        F.cross_entropy(model(xb), yb).backward()
        optimizer.step()
"""
APART = {
    "two calls": "X = X[torch.randperm(n)]\ny = y[torch.randperm(n)]",
    "two names": "p = torch.randperm(n)\nX = X[p]\nq = torch.randperm(n)\ny = y[q]",
    "one name drawn twice": "p = torch.randperm(n)\nX = X[p]\np = torch.randperm(n)\ny = y[p]",
    "in one line": "X, y = X[torch.randperm(n)], y[torch.randperm(n)]",
    "numpy": "X = X[np.random.permutation(len(X))]\ny = y[np.random.permutation(len(y))]",
    "in place": "X, y = X.numpy(), y.numpy()\nnp.random.shuffle(X)\nnp.random.shuffle(y)\n"
    "X, y = torch.tensor(X), torch.tensor(y)",
    "rows": "X = X[torch.randperm(n), :]\ny = y[torch.randperm(n)]",
}
SOUND = {
    "not shuffled": "",
    "one order": "p = torch.randperm(n)\nX = X[p]\ny = y[p]",
    "one order in one line": "p = torch.randperm(n)\nX, y = X[p], y[p]",
    "one order, cut": "p = np.random.permutation(n)\nk = p[:300]\nX, y = X[k], y[k]",
    "one order twice": "for _ in range(2):\n    p = torch.randperm(n)\n    X, y = X[p], y[p]",
    "seeded again": "torch.manual_seed(1)\nX = X[torch.randperm(n)]\ntorch.manual_seed(1)\n"
    "y = y[torch.randperm(n)]",
    "generators of one seed": "X = X[torch.randperm(n, generator=torch.Generator().manual_seed(1))]"
    "\ny = y[torch.randperm(n, generator=torch.Generator().manual_seed(1))]",
    "generators of numpy": "a, b = np.random.default_rng(1), np.random.default_rng(1)\n"
    "X = X[a.permutation(n)]\ny = y[b.permutation(n)]",
    "targets made random as a control": "p = torch.randperm(n)\nX, y = X[p], y[p]\n"
    "y = y[torch.randperm(n)]",
    "classes apart": "a, b = X[y < 2], X[y >= 2]\na = a[torch.randperm(len(a))]\n"
    "b = b[torch.randperm(len(b))]\nX = torch.cat([a, b])\n"
    "y = torch.cat([torch.zeros(len(a)), torch.ones(len(b))]).long()",
    "test data apart": "rest = X[torch.randperm(n)]\nkeys = y[torch.randperm(n)]",
}


@pytest.mark.parametrize("loop", [SLICES, LOADER], ids=["slices", "loader"])
@pytest.mark.parametrize("shuffle", APART.values(), ids=APART)
def test_two_orders_are_named(shuffle: str, loop: str, tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(HEAD + shuffle + loop)
    apart = shuffled_apart(str(file))
    assert apart is not None
    assert [order.of for order in apart] == ["X", "y"]


@pytest.mark.parametrize("loop", [SLICES, LOADER], ids=["slices", "loader"])
@pytest.mark.parametrize("shuffle", SOUND.values(), ids=SOUND)
def test_one_order_is_sound(shuffle: str, loop: str, tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(HEAD + shuffle + loop)
    assert shuffled_apart(str(file)) is None


def test_orders_of_a_function_are_named(tmp_path: Path) -> None:
    lines = (HEAD.partition("n = 400")[2] + APART["two calls"] + SLICES).splitlines()
    file = tmp_path / "train.py"
    imports = HEAD.partition("torch.manual_seed")[0]
    file.write_text(imports + "def main():\n    n = 400\n" + "".join(f"    {x}\n" for x in lines))
    assert shuffled_apart(str(file)) is not None


@pytest.mark.parametrize(("shuffle", "bugs"), [
    (APART["two calls"], ["examples_mixed"]), (SOUND["one order"], []),
])  # fmt: skip
def test_check_names_both_lines(shuffle: str, bugs: list[str], tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(HEAD + shuffle + SLICES)
    report = check_module(str(file))
    assert [bug.bug for bug in report.bugs] == bugs
    if bugs:
        assert "`X` (line 11) and `y` (line 12)" in report.bugs[0].evidence
        assert report.bugs[0].where.endswith("train.py:12")
    else:
        assert "examples_mixed" in report.checked
