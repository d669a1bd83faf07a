"""A loss that does not lead back to the network is named: no gradient comes to any weight."""

from __future__ import annotations

import pytest

from descend.program_check.bug_report import ProgramError

from .check_source import check_source

PROGRAM = """
import torch
from torch import nn
torch.manual_seed(0)
V, T, D = 20, 24, 32
data = (torch.randint(0, V, (256, 1)) + 3 * torch.arange(T + 1)) % V
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.mix = nn.Embedding(V, D), nn.GRU(D, D, batch_first=True)
        self.head = nn.Linear(D, V)
    def forward(self, x):
        return self.head(self.mix(self.table(x))[0])
model = Net()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
def train_batch(x, y):
    optimizer.zero_grad()
    logits = model(x)
    loss = criterion(logits.flatten(0, 1), y.flatten())
    CUT
    loss.backward()
    optimizer.step()
    return loss.item()
for step in range(200):
    rows = data[torch.randint(len(data), (8,))]
    train_batch(rows[:, :-1], rows[:, 1:])
"""
CUTS = {
    "number": "loss = torch.tensor(loss.item(), requires_grad=True)",
    "data": "loss = torch.autograd.Variable(loss.data, requires_grad=True)",
    "numpy": "loss = torch.from_numpy(loss.detach().numpy()).requires_grad_()",
    "detached logits": "loss = criterion(logits.detach().mT, y).requires_grad_()",
    "no_grad": "with torch.no_grad(): loss = criterion(model(x).mT, y)\n    loss.requires_grad_()",
    "argmax": "loss = (logits.argmax(-1) != y).float().mean().requires_grad_()",
    "logits made anew": "loss = criterion(torch.tensor(logits.tolist(), requires_grad=True).mT, y)",
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_loss_that_does_not_lead_back_is_named(cut: str) -> None:
    report = check_source(PROGRAM.replace("CUT", cut))
    assert [b.bug for b in report.bugs] == ["step_never_called"]
    assert "no gradient came to any weight" in report.bugs[0].evidence
    assert "`.item()`" in report.bugs[0].fix


def test_missing_backward_is_named() -> None:
    report = check_source(PROGRAM.replace("CUT", "").replace("    loss.backward()\n", ""))
    assert [b.bug for b in report.bugs] == ["step_never_called"]
    assert "`backward()` was never called" in report.bugs[0].evidence


@pytest.mark.parametrize(
    "sound",
    [
        "",
        "assert torch.tensor(loss.item(), requires_grad=True).requires_grad",  # a copy, not used
        "optimizer.param_groups[0]['lr'] = 0.0",  # no weight moves, and gradients come
    ],
)
def test_gradients_that_come_are_no_bug(sound: str) -> None:
    report = check_source(PROGRAM.replace("CUT", sound))
    assert "step_never_called" in report.checked


def test_gradients_that_a_program_computes_itself_are_no_bug() -> None:
    by_hand = "for p in model.parameters(): p.grad = torch.randn_like(p) * 1e-3"
    source = PROGRAM.replace("CUT", by_hand).replace("    loss.backward()\n", "")
    assert "step_never_called" not in [b.bug for b in check_source(source).bugs]


@pytest.mark.parametrize(
    "cut",
    ["loss = criterion(logits.detach().mT, y)", "loss = (logits.argmax(-1) != y).float().mean()"],
)
def test_loss_that_torch_refuses_has_its_fix(cut: str) -> None:
    with pytest.raises(ProgramError, match=r"does not require grad.*without `\.item\(\)`"):
        check_source(PROGRAM.replace("CUT", cut))
