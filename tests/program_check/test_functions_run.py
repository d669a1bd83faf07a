"""Which functions of a program are said not to have run."""

from __future__ import annotations

from pathlib import Path

import pytest

from descend.program_check.coverage import not_covered
from descend.program_check.program import load_program

HEAD = """
import functools
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Embedding(20, 8), nn.Linear(8, 20)
    def forward(self, x):
        return self.out(self.table(x))

def unused():
    return 1
"""
LOOP = """
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for i in range(30):
        x = torch.randint(0, 20, (4, 9))
        loss = nn.functional.cross_entropy(net(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
GUARD = "if __name__ == '__main__':\n    main()\n"
PROGRAMS = {
    "a helper at import": f"def rows(n):\n    return [n]\nfirst = rows(9)\ndef fit():{LOOP}fit()\n",
    "a decorated main": "def timed(f):\n    @functools.wraps(f)\n    def inner():\n"
                        "        return f()\n"
                        f"    return inner\n@timed\ndef main():{LOOP}{GUARD}",
    "calls in calls": "def load():\n    return 3\ndef build():\n    return load()\n"
                      f"def main():\n    build(){LOOP}{GUARD}",
    "a generator": "def stream():\n    while True:\n        yield 1\n"
                   f"def fit():\n    next(stream()){LOOP}fit()\n",
    "a class that calls": "def seed():\n    torch.manual_seed(1)\nclass Run:\n    def go(self):\n"
                          "        seed()" + LOOP.replace("\n    ", "\n        ") + "Run().go()\n",
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_functions_that_ran_before_the_first_step_are_not_listed(name: str) -> None:
    Path("program.py").write_text(HEAD + PROGRAMS[name])
    program = load_program("program.py")
    listed = [one for one in not_covered(program, set(), set()) if "functions" in one]
    assert listed == ["functions that did not run: unused (line 13)"]
