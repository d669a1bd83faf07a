"""A schedule whose lengths are epochs, stepped with each batch, ends the training early."""

from __future__ import annotations

import pytest

from .check_source import check_source

PROGRAM = """
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
points, labels = torch.randn(320, 2), torch.randint(3, (320,))
loader = DataLoader(TensorDataset(points, labels), batch_size=16, shuffle=True)

def main():
    net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    decay = lr_scheduler.SCHEDULE
    best, number = 1e9, 0
    for epoch in range(10):
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            IN_BATCH
        IN_EPOCH

if __name__ == "__main__":
    main()
"""
BY_STEPS = """
import torch
from torch import nn

net = nn.Linear(4, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
decay = torch.optim.lr_scheduler.StepLR(optimizer, step_size=LENGTH)
for number in range(2000):
    x = torch.randn(8, 4)
    optimizer.zero_grad()
    (net(x) - x.sum(1, keepdim=True)).square().mean().backward()
    optimizer.step()
    decay.step()
"""


def program(schedule: str, in_batch: str = "decay.step()", in_epoch: str = "pass") -> str:
    return (
        PROGRAM.replace("SCHEDULE", schedule)
        .replace("IN_BATCH", in_batch)
        .replace("IN_EPOCH", in_epoch)
    )


IN_LIST = "StepLR(optimizer, step_size=10)\n    schedules = [decay]\n    del decay"
DIES_EARLY = {
    "steps of ten": program("StepLR(optimizer, step_size=10)"),
    "milestones": program("MultiStepLR(optimizer, [5, 8, 9], gamma=0.05)"),
    "exponential": program("ExponentialLR(optimizer, gamma=0.7)"),
    "linear, an epoch long": program("LinearLR(optimizer, 1.0, 0.0, total_iters=20)"),
    "a loop of steps": BY_STEPS.replace("LENGTH", "30"),
    "fewer steps than batches": program(
        "StepLR(optimizer, step_size=4)", "number += 1; number % 2 or decay.step()"
    ),
}
GOES_ON = {
    "in epochs": program("StepLR(optimizer, step_size=10)", "pass", "decay.step()"),
    "in a list": program(IN_LIST, "pass", "for one in schedules:\n            one.step()"),
    "in a comprehension": program(IN_LIST, "pass", "[one.step() for one in schedules]"),
    "in steps": program("StepLR(optimizer, step_size=60)"),
    "restarts": program("CosineAnnealingWarmRestarts(optimizer, T_0=10)"),
    "one cycle": program("OneCycleLR(optimizer, 0.1, total_steps=200)"),
    "to a tenth": program("LinearLR(optimizer, 1.0, 0.1, total_iters=20)"),
    "warmup": program("LambdaLR(optimizer, lambda n: min(1.0, (n + 1) / 150))"),
    "a run that may end early": program(
        "StepLR(optimizer, step_size=10)", "decay.step()",
        "if loss.item() > best: break\n        best = loss.item()",
    ),
    "a loop of steps": BY_STEPS.replace("LENGTH", "300"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DIES_EARLY)
def test_check_finds_a_rate_that_vanishes_early(kind: str) -> None:
    (bug,) = check_source(DIES_EARLY[kind]).bugs
    assert bug.bug == "scheduler_step_misplaced"
    assert "below a thousandth of its peak" in bug.evidence
    assert "once an epoch" in bug.fix


def test_check_finds_a_list_of_schedules_that_is_never_stepped() -> None:
    (bug,) = check_source(program(IN_LIST, "pass", "print(len(schedules))")).bugs
    assert bug.bug == "scheduler_step_misplaced"
    assert "never stepped" in bug.evidence


@pytest.mark.parametrize("kind", GOES_ON)
def test_check_accepts_a_rate_that_lasts(kind: str) -> None:
    assert check_source(GOES_ON[kind]).bugs == []
