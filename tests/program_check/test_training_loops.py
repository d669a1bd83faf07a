"""Programs without a `step`: the loop in `main()`, a class or a script is what is checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from descend.program_check.loop_source import loops_around

from .check_source import check_source

HEAD = """
import argparse
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

V, T = 40, 16

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.pos = nn.Embedding(V, 32), nn.Embedding(T, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, 0.1, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(32, V)
    def forward(self, x):
        n = x.shape[1]
        mask = torch.triu(torch.ones(n, n, dtype=torch.bool), 1)
        return self.head(self.body(self.tok(x) + self.pos(torch.arange(n)), mask=mask))

def rows(n=320):
    torch.manual_seed(0)
    return (torch.randint(0, 5, (n, T + 1)).cumsum(1) + torch.arange(n)[:, None]) % V
"""
STYLES = {
    "main": """
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=1e-3)
    args = parser.parse_args([])
    net, data = Net(), rows()
    opt = torch.optim.Adam(net.parameters(), lr=args.lr)
    for i in range(1000):
        batch = data[torch.randint(len(data), (8,))]
        loss = F.cross_entropy(net(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        opt.zero_grad()
        loss.backward()
        opt.step()

if __name__ == "__main__":
    main()
""",
    "while": """
model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
data, number, accum = rows(), 0, 2
while True:
    optimizer.zero_grad()
    for micro in range(accum):
        batch = data[torch.randint(len(data), (8,))]
        loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        (loss / accum).backward()
    optimizer.step()
    number += 1
    if number > 50:
        break
""",
    "class": """
class Trainer:
    def __init__(self, net, loader):
        self.net, self.__loader = net, loader
        self.optim = torch.optim.SGD(net.parameters(), lr=0.1)
    def epoch(self, epoch):
        items = tqdm(enumerate(self.__loader))
        for i, (batch,) in items:
            logits = self.net(batch[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
            self.optim.zero_grad()
            loss.backward()
            self.optim.step()
            if i > 3:
                return loss

class tqdm:
    def __init__(self, iterable):
        self.iterable = iterable
    def __iter__(self):
        yield from self.iterable

if __name__ == "__main__":
    trainer = Trainer(Net(), DataLoader(TensorDataset(rows()), batch_size=8, shuffle=True))
    for epoch in range(3):
        trainer.epoch(epoch)
""",
    "closures": """
def make_step(net, optimizer):
    count = 0
    def train_step(loader):
        nonlocal count
        (batch,) = next(loader)
        optimizer.zero_grad()
        loss = F.cross_entropy(net(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        count += 1
        return loss.item()
    return train_step

def cycle(loader):
    while True:
        yield from loader

def run():
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    loader = cycle(DataLoader(TensorDataset(rows()), batch_size=8, shuffle=True))
    do = make_step(net, optimizer)
    with open("log.txt", "w") as log:
        for i in range(100):
            log.write(f"{do(loader)}\\n")
            yield i

for _ in run():
    pass
""",
    "inheritance": """
class Log:
    def write(self, loss):
        yield float(loss)
class Trainer(Log):
    def train(self):
        net, data = Net(), rows()
        opt = torch.optim.Adam(net.parameters(), lr=1e-3)
        for i in range(1000):
            batch = data[torch.randint(len(data), (8,))]
            loss = F.cross_entropy(net(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
            opt.zero_grad()
            loss.backward()
            opt.step()
            yield from super().write(loss)
for _ in Trainer().train():
    pass
""",
}


@pytest.mark.parametrize("style", STYLES)
def test_a_loop_anywhere_is_the_step(style: str) -> None:
    sound = check_source(HEAD + STYLES[style])
    assert not sound.bugs
    assert sound.num_applied >= 18, sound.not_checked
    assert "gradients_not_zeroed" in sound.checked
    (line,) = [x for x in STYLES[style].splitlines() if "zero_grad()" in x]
    buggy = check_source(HEAD + STYLES[style].replace(line, line.partition("o")[0] + "None"
                                        if line.strip().startswith("o") else line.replace(
                                            "self.optim.zero_grad()", "None")))  # fmt: skip
    (bug,) = buggy.bugs
    assert bug.bug == "gradients_not_zeroed"
    step = [n for n, x in enumerate(Path("program.py").read_text().splitlines(), 1)
            if ".step()" in x or "do(loader)" in x]  # fmt: skip
    assert bug.where in {f"program.py:{n}" for n in step}


def test_a_step_that_is_never_made_is_noticed() -> None:
    report = check_source(
        HEAD + STYLES["main"].replace("        opt.step()\n", "").replace("1000", "40")
    )
    assert [b.bug for b in report.bugs] == ["step_never_called"]


EPOCHS = """
def evaluate(model, data):
    model.eval()
    with torch.no_grad():
        return F.cross_entropy(model(data[:8, :-1]).flatten(0, 1), data[:8, 1:].flatten())

model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
data = rows()
OUTSIDE
for epoch in range(2):
    EPOCH
    for batch in data.split(8):
        loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    BETWEEN
print(evaluate(model, data))
"""


@pytest.mark.parametrize(
    ("outside", "epoch", "between", "is_bug"),
    [
        ("", "pass", "pass", False),
        ("model.train()", "pass", "pass", False),
        ("", "model.train()", "print(evaluate(model, data))", False),
        ("model.train()", "pass", "print(evaluate(model, data))", True),
        ("", "pass", "model.eval(); model(data[:4, :-1])", True),
        ("", "model.train()", "model.eval(); model(data[:4, :-1])", False),
    ],
)
def test_modes_follow_from_what_stands_between_steps(
    outside: str, epoch: str, between: str, is_bug: bool
) -> None:
    source = EPOCHS.replace("OUTSIDE", outside).replace("EPOCH", epoch)
    report = check_source(
        HEAD + source.replace("BETWEEN", between).replace("data = rows()", "data = rows(640)")
    )
    named = [b.bug for b in report.bugs if b.bug != "not_shuffled"]
    assert named == (["left_in_evaluation_mode"] if is_bug else [])


PHASES = """
class Engine:
    def __init__(self, net, loader):
        self.net, self.loader = net, loader
        self.optim = torch.optim.Adam(net.parameters(), lr=1e-3)
    def train(self, epoch):
        self.net.train()
        return self.go(epoch)
    def test(self, epoch):
        self.net.eval()
        with torch.no_grad():
            return self.go(epoch, learn=False)
    def go(self, epoch, learn=True):
        items = enumerate(self.loader)
        for i, (batch,) in items:
            logits = self.net(batch[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
            if learn:
                self.optim.zero_grad()
                loss.backward()
                self.optim.step()
        return loss.item()

engine = Engine(Net(), DataLoader(TensorDataset(rows(80)), batch_size=8, shuffle=True))
for epoch in range(2):
    trained = engine.train(epoch)
    print(trained + engine.test(epoch))
"""


@pytest.mark.parametrize(
    ("line", "bug"),
    [
        ("", None),
        ("self.net.eval()", "dropout_in_evaluation"),
        ("self.net.train()", "left_in_evaluation_mode"),
        ("self.optim.step()", "step_never_called"),
    ],
)
def test_check_finds_the_evaluation_when_a_caller_of_the_loop_makes_it(
    line: str, bug: str | None
) -> None:
    report = check_source(HEAD + (PHASES.replace(line, "pass") if line else PHASES))
    assert [b.bug for b in report.bugs] == ([bug] if bug else [])


def test_a_program_that_trains_nothing_is_no_program_with_a_loop() -> None:
    report = check_source(
        HEAD + "model = Net()\nif __name__ == '__main__':\n    print(model(rows(2)[:, :-1]))\n"
    )
    assert not report.bugs
    assert any(
        n.why == "no function is named `step`, `train_step` or `training_step`"
        for n in report.not_checked
    )


def test_the_innermost_function_decides_which_loops_stand_around_a_line(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        "for a in x:\n    def f():\n        while True:\n            for b in y:\n"
        "                match b:\n                    case 1:\n                        g()\n"
        "        else:\n            h()\n"
    )
    assert [loop.loop.lineno for loop in loops_around(str(file), 7)] == [4, 3]
    assert loops_around(str(file), 9) == []
    assert loops_around(str(tmp_path / "none.py"), 1) == []
