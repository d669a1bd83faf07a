"""Programs with several optimizers: one that never steps is named, whatever the others do."""

from __future__ import annotations

import pytest

from descend.units import list_names

from .check_source import check_source

HEAD = """
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
def mlp(i, o):
    return nn.Sequential(nn.Linear(i, 24), nn.ReLU(), nn.Linear(24, o))
"""
GAN = """
def main():
    maker, judge = mlp(8, 2), mlp(2, 1)
    maker_optimizer = torch.optim.Adam(maker.parameters(), lr=1e-3)
    judge_optimizer = torch.optim.Adam(judge.parameters(), lr=1e-3)  # LINE
    SCHEDULES
    for epoch in range(8):
        for number in range(40):
            real, fake = torch.randn(16, 2), maker(torch.randn(16, 8))
            judge_optimizer.zero_grad()
            loss = F.softplus(-judge(real)).mean() + F.softplus(judge(fake.detach())).mean()
            loss.backward()
            JUDGE
            maker_optimizer.zero_grad()
            F.softplus(-judge(maker(torch.randn(16, 8)))).mean().backward()
            MAKER

if __name__ == "__main__":
    main()
"""
ACTOR = """
class Agent:
    def __init__(self):
        self.actor, self.critic, self.target = mlp(4, 2), mlp(6, 1), mlp(6, 1)
        self.target.load_state_dict(self.critic.state_dict())
        self.actor_optim = torch.optim.Adam(self.actor.parameters(), lr=1e-3)  # LINE
        self.critic_optim = torch.optim.Adam(self.critic.parameters(), lr=1e-3)
    def improve(self, optimizer, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    def learn(self, number):
        state, reward = torch.randn(32, 4), torch.randn(32, 1)
        with torch.no_grad():
            goal = reward + 0.9 * self.target(torch.cat([state, self.actor(state)], 1))
        action = torch.tanh(torch.randn(32, 2))
        value = self.critic(torch.cat([state, action], 1))
        self.improve(self.critic_optim, F.mse_loss(value, goal))
        ACTOR

agent = Agent()
for number in range(300):
    agent.learn(number)
"""
IMPROVE = "self.improve(OPTIM, -self.critic(torch.cat([state, self.actor(state)], 1)).mean())"
HALVES = """
def run(net, other, optimizer):
    for number in range(120):
        x = torch.randn(16, 6)
        optimizer.zero_grad()
        F.mse_loss(other(net(x)), x).backward()
        optimizer.step()

encoder, decoder = mlp(6, 3), mlp(3, 6)
of_encoder = torch.optim.SGD(encoder.parameters(), lr=0.1)
of_decoder = torch.optim.SGD(decoder.parameters(), lr=0.1)  # LINE
RUNS
"""
TEMPERATURE = """
net, scale = mlp(6, 4), torch.zeros(1, requires_grad=True)
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
scale_optimizer = torch.optim.Adam([scale], lr=1e-3)  # LINE
for number in range(200):
    x, y = torch.randn(16, 6), torch.randint(4, (16,))
    optimizer.zero_grad()
    scale_optimizer.zero_grad()
    F.cross_entropy(net(x) * scale.exp(), y).backward()
    optimizer.step()
    STEP
"""


def gan(judge: str, maker: str = "maker_optimizer.step()", schedules: str = "pass") -> str:
    source = GAN.replace("JUDGE", judge).replace("MAKER", maker)
    return HEAD + source.replace("SCHEDULES", schedules)


def actor(line: str) -> str:
    return HEAD + ACTOR.replace("ACTOR", line)


def halves(runs: str) -> str:
    return HEAD + HALVES.replace("RUNS", runs)


DECAYS = "decays = torch.optim.lr_scheduler.StepLR(judge_optimizer, 30)"
LISTED = """
nets = encoder, decoder = mlp(6, 3), mlp(3, 6)
of_encoder, of_decoder = (torch.optim.SGD(n.parameters(), lr=0.1) for n in nets)  # LINE
decays = [torch.optim.lr_scheduler.StepLR(o, 2) for o in (of_encoder, of_decoder)]
for epoch in range(4):
    for number in range(40):
        x = torch.randn(16, 6)
        for one in (of_encoder, of_decoder):
            one.zero_grad()
        F.mse_loss(decoder(encoder(x)), x).backward()
        for one in STEPPED:
            one.step()
    for decay in decays:
        decay.step()
"""
PLANTED = {
    "one of a list": HEAD + LISTED.replace("STEPPED", "(of_encoder,)"),
    "the other one steps": gan("maker_optimizer.step()"),
    "the other one steps, with a schedule": gan(
        "maker_optimizer.step()\n            decays.step()", schedules=DECAYS
    ),
    "by a method": actor(IMPROVE.replace("OPTIM", "self.critic_optim")),
    "one half": halves("for epoch in range(3):\n    run(encoder, decoder, of_encoder)"),
    "a number": HEAD + TEMPERATURE.replace("STEP", "pass"),
}  # fmt: skip
SOUND = {
    "both step": gan("judge_optimizer.step()"),
    "one steps rarely": gan("judge_optimizer.step() if number % 5 == 4 else None"),
    "all of a list": HEAD + LISTED.replace("STEPPED", "(of_encoder, of_decoder)"),
    "a target": actor(IMPROVE.replace("OPTIM", "self.actor_optim")),
    "delayed": actor(
        "if number % 2 == 1:\n            " + IMPROVE.replace("OPTIM", "self.actor_optim")
    ),
    "both halves": halves(
        "optimizer = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=0.1)\n"
        "run(encoder, decoder, optimizer)"
    ),
    "a number that steps": HEAD + TEMPERATURE.replace("STEP", "scale_optimizer.step()"),
}
DECAY = "\n                decays.step()"
WARMUP = "if epoch >= 3:\n                judge_optimizer.step()"
LATER = {
    "after a warmup": gan(WARMUP),
    "after a warmup, with a schedule": gan(WARMUP + DECAY, schedules=DECAYS),
    "by turns": gan("pass", "(maker_optimizer, judge_optimizer)[epoch % 2].step()"),
    "one half after the other": halves(
        "run(encoder, decoder, of_encoder)\nrun(encoder, decoder, of_decoder)"
    ),
    "in a loop over both": halves(
        "for one in (of_encoder, of_decoder):\n    run(encoder, decoder, one)"
    ),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_check_names_the_optimizer_that_never_steps(kind: str) -> None:
    report = check_source(PLANTED[kind])
    assert [b.bug for b in report.bugs] == ["step_never_called"]
    line = next(n for n, x in enumerate(PLANTED[kind].splitlines(), 1) if "# LINE" in x)
    assert report.bugs[0].where == f"program.py:{line}"
    name = PLANTED[kind].splitlines()[line - 1].split("=")[0].split(",")[-1].strip()
    assert f"`{name.removeprefix('self.')}`" in report.bugs[0].evidence
    assert not {"weights_frozen", "gradients_not_zeroed"} & set(report.checked)


@pytest.mark.parametrize("kind", SOUND)
def test_check_finds_nothing_when_every_optimizer_steps(kind: str) -> None:
    report = check_source(SOUND[kind])
    assert report.bugs == []
    assert {"step_never_called", "weights_frozen"} <= set(report.checked)


@pytest.mark.parametrize("kind", LATER)
def test_check_does_not_judge_an_optimizer_that_may_step_later(kind: str) -> None:
    report = check_source(LATER[kind])
    assert report.bugs == []
    reasons = {n.bug: n.why for n in report.not_checked}
    for bug in ("step_never_called", "weights_frozen", "gradients_not_zeroed"):
        assert "did not step in" in reasons[bug]


def test_a_list_of_names_says_how_many_it_leaves_out() -> None:
    assert list_names(["a", "b", "c"], 3) == "a, b, c"
    assert list_names(["a", "b", "c", "d"], 3) == "a, b, c and 1 more"
