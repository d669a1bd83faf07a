"""Networks of numbers: what concerns them is checked, and what is about tokens does not count."""

from __future__ import annotations

import pytest

from descend.program_check.bugs import ABOUT_TOKENS

from .check_source import check_source

PARTS = """
import argparse, copy
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.out = nn.Linear(16, 64), nn.LayerNorm(64), nn.Linear(64, 1)
        self.drop = nn.Dropout(0.1)
    def forward(self, x):
        return self.out(self.drop(F.gelu(self.norm(self.first(x))))).squeeze(-1)

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    torch.manual_seed(3)
    x, y = torch.randn(2600, 16), torch.randn(2600)
    model = Net()
    average = copy.deepcopy(model).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    step = 0
    while step < args.steps:
        parts = torch.randperm(len(x)).split(50)
        for group in [parts[i : i + 4] for i in range(0, len(parts), 4)]:
            model.train()
            optimizer.zero_grad()
            for index in group:
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    answer = model(x[index])
                (F.mse_loss(answer.float(), y[index]) / len(group)).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            with torch.no_grad():
                for a, p in zip(average.parameters(), model.parameters()):
                    a.lerp_(p, 0.02)
            step += 1
            if step % 10 == 0:
                EVALUATION
            if step >= args.steps:
                break

if __name__ == "__main__":
    main()
"""
AVERAGE = (
    "with torch.no_grad():\n                    print(F.mse_loss(average(x[:99]), y[:99]).item())"
)
SOUND = PARTS.replace("EVALUATION", AVERAGE)
PLANTED = {
    "dropout_in_evaluation": SOUND.replace("self.drop(F.gelu(", "F.dropout(F.gelu("),
    "left_in_evaluation_mode": SOUND.replace("model.train()", "model.eval()"),
    "gradients_not_zeroed": SOUND.replace("            optimizer.zero_grad()\n", ""),
    "weights_frozen": SOUND.replace("self.first(x)", "self.first(x).detach()"),
}
TWO = """
import torch
from torch import nn

maker = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
critic = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
loss_of = nn.BCEWithLogitsLoss()
of_critic = torch.optim.Adam(critic.parameters(), lr=2e-4)
of_maker = torch.optim.Adam(maker.parameters(), lr=2e-4)
for number in range(400):
    critic.zero_grad()
    loss_of(critic(torch.randn(64, 2)).view(-1), torch.ones(64)).backward()
    made = maker(torch.randn(64, 8))
    loss_of(critic(made.detach()).view(-1), torch.zeros(64)).backward()
    of_critic.step()
    maker.zero_grad()
    loss_of(critic(made).view(-1), torch.ones(64)).backward()
    of_maker.step()
"""
AUTOENCODER = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Linear(16, 8), nn.Linear(4, 16)
    def forward(self, x):
        mean, deviation = self.down(x).chunk(2, -1)
        code = mean + deviation.exp() * torch.randn_like(mean)
        return self.up(code), mean, deviation

net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for number in range(200):
    x = torch.randn(32, 16)
    again, mean, deviation = net(x)
    optimizer.zero_grad()
    ((again - x).square().mean() + (mean.square() + deviation.exp() - deviation).mean()).backward()
    optimizer.step()
"""


def test_check_of_a_sound_regression_says_that_it_is_sound() -> None:
    report = check_source(SOUND)
    assert report.bugs == []
    assert report.exit_code == 0
    assert {n.bug for n in report.not_checked if not n.applies} == {
        *ABOUT_TOKENS, "scheduler_step_misplaced",
    }  # fmt: skip


@pytest.mark.parametrize("bug", PLANTED)
def test_check_finds_a_bug_of_a_network_of_numbers(bug: str) -> None:
    assert [b.bug for b in check_source(PLANTED[bug]).bugs] == [bug]


@pytest.mark.parametrize("source", [TWO, AUTOENCODER], ids=["adversaries", "autoencoder"])
def test_check_of_a_sound_network_of_numbers_finds_nothing(source: str) -> None:
    report = check_source(source)
    assert report.bugs == []
    assert report.num_applied >= 7
