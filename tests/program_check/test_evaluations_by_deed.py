"""An evaluation is known by what it does, whatever its name; what never ran is not passed."""

from __future__ import annotations

import pytest

from .check_source import check_source
from .test_sound_and_planted import HEAD

LOOP = """
net, fresh = Net(0.3), rows(40)
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
FUNCTIONS
for number in range(400):
    x = data[torch.randint(len(data), (8,))]
    optimizer.zero_grad()
    loss_of(net(x[:, :-1]), x[:, 1:]).backward()
    optimizer.step()
    if number % 90 == 89:
        CALLS
"""
SCORE = """
@torch.no_grad()
def NAME():
    net.eval()
    value = loss_of(net(fresh[:, :-1]), fresh[:, 1:]).item()
    AFTER
    return value
"""
METHOD = """
class Fit:
    def __init__(self):
        self.net, self.fresh = Net(0.3), rows(40)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3)
    @torch.no_grad()
    def held_out(self):
        self.net.eval()
        value = loss_of(self.net(self.fresh[:, :-1]), self.fresh[:, 1:]).item()
        AFTER
        return value
    def run(self):
        for number in range(400):
            x = data[torch.randint(len(data), (8,))]
            self.optimizer.zero_grad()
            loss_of(self.net(x[:, :-1]), x[:, 1:]).backward()
            self.optimizer.step()
            if number % 90 == 89:
                print(self.held_out())
Fit().run()
"""
STEP = """
model = Net(0.3)
fresh = rows(40)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
def get_batch():
    return data[torch.randint(len(data), (8,))]
def step(batch):
    optimizer.zero_grad()
    loss_of(model(batch[:, :-1]), batch[:, 1:]).backward()
    optimizer.step()
def held_out():
    model.eval()
    with torch.no_grad():
        value = loss_of(model(fresh[:, :-1]), fresh[:, 1:]).item()
    AFTER
    return value
if __name__ == "__main__":
    for number in range(400):
        step(get_batch())
        if number % 90 == 89:
            print(held_out())
"""
INSIDE = """
net, fresh, done = Net(0.3), rows(40), [0]
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
def score():
    net.eval()  # LINE
    with torch.no_grad():
        return loss_of(net(fresh[:, :-1]), fresh[:, 1:]).item()
def advance(x):
    optimizer.zero_grad()
    loss_of(net(x[:, :-1]), x[:, 1:]).backward()
    optimizer.step()
    done[0] += 1
    if done[0] % 90 == 0:
        print(score())
for number in range(400):
    advance(data[torch.randint(len(data), (8,))])
"""


def loop(functions: str, calls: str) -> str:
    return HEAD + LOOP.replace("FUNCTIONS", functions).replace("CALLS", calls)


def score(name: str, after: str) -> str:
    return SCORE.replace("NAME", name).replace("AFTER", after)


REPORT = "\ndef report():\n    print('held out', score())\n"
PLANTED = {
    "any name": loop(score("score", "pass"), "print(score())"),
    "one function further": loop(score("score", "pass") + REPORT, "report()"),
    "the second of two": loop(
        score("evaluate", "net.train()") + score("preview", "pass"), "evaluate(), preview()"
    ),
    "a method": HEAD + METHOD.replace("AFTER", "pass"),
    "beside a step": HEAD + STEP.replace("AFTER", "pass"),
}
SOUND = {
    "any name": loop(score("score", "net.train()"), "print(score())"),
    "one function further": loop(score("score", "net.train()") + REPORT, "report()"),
    "two": loop(
        score("evaluate", "net.train()") + score("preview", "net.train()"), "evaluate(), preview()"
    ),
    "the mode set by the caller": loop(score("score", "pass"), "score()\n        net.train()"),
    "the mode set by a helper of the caller": loop(
        score("score", "pass") + "\ndef again(mode):\n    net.train(mode)\n",
        "score()\n        again(True)",
    ),
    "a method": HEAD + METHOD.replace("AFTER", "self.net.train()"),
    "beside a step": HEAD + STEP.replace("AFTER", "model.train()"),
    "only after the training": loop(score("score", "pass"), "pass") + "print(score())\n",
}


@pytest.mark.parametrize("kind", PLANTED)
def test_check_finds_the_mode_that_is_left_by_a_function_of_any_name(kind: str) -> None:
    report = check_source(PLANTED[kind])
    assert [b.bug for b in report.bugs] == ["left_in_evaluation_mode"]


def test_check_finds_dropout_in_an_evaluation_of_any_name() -> None:
    source = score("val_score", "pass").replace("    net.eval()\n", "")
    report = check_source(loop(source, "print(val_score())"))
    assert [b.bug for b in report.bugs] == ["dropout_in_evaluation"]


@pytest.mark.parametrize("kind", SOUND)
def test_check_finds_nothing_when_the_mode_is_set_again(kind: str) -> None:
    report = check_source(SOUND[kind])
    assert report.bugs == []
    assert {"left_in_evaluation_mode", "dropout_in_evaluation"} <= set(report.checked)


def test_an_evaluation_without_a_run_is_not_checked() -> None:
    report = check_source(HEAD + INSIDE)
    assert report.bugs == []
    line = next(n for n, x in enumerate((HEAD + INSIDE).splitlines(), 1) if "# LINE" in x)
    reasons = {n.bug: n.why for n in report.not_checked}
    for bug in ("left_in_evaluation_mode", "dropout_in_evaluation"):
        assert reasons[bug] == f"line {line}, which sets evaluation mode, did not run in the check"
