"""Losses that are given probabilities, or outputs and targets of two shapes, in any program."""

from __future__ import annotations

import pytest

from .check_source import check_source

DATA = """
import copy
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
inputs = torch.randn(256, 6)
"""
REGRESSION = (
    DATA
    + """
targets = inputs.sum(1) + 0.1 * torch.randn(256)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x):
        return OUTPUT

def main():
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    criterion = LOSS
    for epoch in range(3):
        for i in range(0, 256, 32):
            x, y = inputs[i : i + 32], targets[i : i + 32]
            optimizer.zero_grad()
            loss = criterion(net(x), TARGET)
            loss.backward()
            optimizer.step()

main()
"""
)
COLUMN, ROW = "self.layers(x)", "self.layers(x).squeeze(-1)"


@pytest.mark.parametrize(("output", "loss", "target", "is_broadcast"), [
    (COLUMN, "nn.MSELoss()", "y", True),
    (COLUMN, "nn.SmoothL1Loss()", "y", True),
    (ROW, "nn.L1Loss()", "y.unsqueeze(-1)", True),
    (COLUMN, "nn.HuberLoss()", "y.view(-1, 1)", False),
    (ROW, "F.mse_loss", "y", False),
])  # fmt: skip
@pytest.mark.usefixtures("own_folder")
def test_outputs_and_targets_of_two_shapes_are_named(
    output: str, loss: str, target: str, is_broadcast: bool
) -> None:
    source = REGRESSION.replace("OUTPUT", output).replace("LOSS", loss).replace("TARGET", target)
    checked = check_source(source)
    assert [f.bug for f in checked.bugs] == ["targets_broadcast"] * is_broadcast
    assert is_broadcast or "targets_broadcast" in checked.checked
    if is_broadcast:
        line = next(n for n, text in enumerate(source.split("\n"), 1) if "criterion(net" in text)
        assert checked.bugs[0].where.endswith(f":{line}")


AVERAGED = (
    DATA
    + """
targets = (inputs.sum(1) > 0).long()

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x):
        return OUTPUT

def train(net, part):
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for i in range(0, 64, 16):
        net.zero_grad()
        loss = nn.CrossEntropyLoss()(net(inputs[part][i : i + 16]), targets[part][i : i + 16])
        loss.backward()
        optimizer.step()
    return net.state_dict()

def main():
    net = Net()
    for epoch in range(3):
        states = [train(copy.deepcopy(net), slice(k, k + 64)) for k in range(0, 256, 64)]
        net.load_state_dict({k: sum(s[k] for s in states) / 4 for k in states[0]})

main()
"""
)


@pytest.mark.parametrize(("output", "is_twice"), [
    ("self.layers(x).softmax(1)", True),
    ("self.layers(x)", False),
    ("self.layers(x).log_softmax(1)", False),
    ("self.layers(x).sigmoid()", False),
])  # fmt: skip
@pytest.mark.usefixtures("own_folder")
def test_probabilities_are_named_where_copies_of_the_network_are_trained(
    output: str, is_twice: bool
) -> None:
    checked = check_source(AVERAGED.replace("OUTPUT", output))
    assert [f.bug for f in checked.bugs] == ["softmax_before_cross_entropy"] * is_twice
