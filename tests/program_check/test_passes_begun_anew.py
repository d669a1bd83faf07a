"""A loop whose first pass is begun a second time by the check, though the program never does so."""

from __future__ import annotations

import pytest

from .check_source import check_source

HEAD = """
import torch
from torch import nn
from torch.nn import functional as F
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 2))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
"""
POLICY = """
class Policy:
    def __init__(self):
        self.forget()
    def forget(self):
        self.chances, self.rewards = [], []
    def act(self, state):
        options = torch.distributions.Categorical(logits=net(state))
        action = options.sample()
        self.chances.append(options.log_prob(action))
        self.rewards.append(float(action == int(state[0] > 0)))

def learn(policy):
    rewards = torch.tensor(policy.rewards)
    loss = -(torch.stack(policy.chances) * (rewards - rewards.mean())).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss, rewards.sum()

policy = Policy()
for episode in range(100):
    for number in range(12):
        policy.act(torch.randn(6))
    loss, gained = learn(policy)
    if episode % 10 == 0:
        print(f"{loss.item():.3f} {gained:.1f}")
    policy.forget()
"""
LISTS = """
def main():
    losses, seen = [], []
    for number in range(100):
        assert not losses
        x, y = torch.randn(16, 6), torch.randint(2, (16,))
        losses.append(F.cross_entropy(net(x), y))
        seen.append(len(x))
        optimizer.zero_grad()
        (torch.stack(losses).sum() / len(seen)).backward()
        optimizer.step()
        losses.clear()
        seen.clear()

if __name__ == "__main__":
    main()
"""
LOCKED = """
class Door:
    is_open = False
    def enter(self):
        assert not self.is_open, "opened twice"
        self.is_open = True
        return object()
    def leave(self, key):
        assert type(key) is object
        self.is_open = False

def learn(key):
    optimizer.zero_grad()
    F.cross_entropy(net(torch.randn(16, 6)), torch.randint(2, (16,))).backward()
    optimizer.step()
    return key

door = Door()
for number in range(100):
    key = door.enter()
    key = learn(key)
    door.leave(key)
"""


@pytest.mark.parametrize("source", [POLICY, LISTS], ids=["an object", "lists"])
def test_check_ends_the_first_pass_when_the_program_collects_in_it(source: str) -> None:
    report = check_source(HEAD + source)
    assert report.bugs == []
    assert {"step_never_called", "weights_frozen", "left_in_evaluation_mode"} <= set(report.checked)


def test_check_calls_it_a_limit_when_a_pass_cannot_be_begun_anew() -> None:
    report = check_source(HEAD + LOCKED)
    assert report.bugs == []
    reasons = {n.bug: n.why for n in report.not_checked}
    assert reasons["step_never_called"].startswith("a limit of the check, no fault of the program")
    assert "opened twice" in reasons["step_never_called"]
