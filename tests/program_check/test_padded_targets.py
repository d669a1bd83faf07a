"""How far targets stand from the tokens, in batches that are filled up."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from descend.program_check.instrumentation.call_recorder import ModelCall
from descend.program_check.probes.loss_probe import LossProbe
from descend.program_check.probes.target_shift import AGREE, TargetShift, target_shift

from .check_source import check_source

PAD, BEGIN, END = 0, 1, 2


def texts() -> list[Tensor]:
    """Texts of several lengths, each with a beginning and an end."""
    chance = torch.Generator().manual_seed(5)
    lengths = [4, 7, 5, 9, 6, 8, 5, 7]
    words = [torch.randint(3, 40, (n,), generator=chance) for n in lengths]
    return [torch.cat([torch.tensor([BEGIN]), w, torch.tensor([END])]) for w in words]


def filled(rows: list[Tensor], token: int, is_left: bool = False) -> Tensor:
    """The rows as one batch."""
    width = max(len(row) for row in rows)
    fill = [torch.full((width - len(row),), token) for row in rows]
    pairs = [(f, row) if is_left else (row, f) for f, row in zip(fill, rows, strict=True)]
    return torch.stack([torch.cat(pair) for pair in pairs])


def shift_of(ids: Tensor, targets: Tensor, ignored: int | None) -> TargetShift:
    """What is measured of a batch whose targets count but for those ignored."""
    counted = torch.ones_like(targets) if ignored is None else (targets != ignored)
    call = ModelCall(
        ids, ids, (ids,), {}, True, False,
        targets_BT=targets.masked_fill(~counted.bool(), 0), weights_BT=counted.float(),
    )  # fmt: skip
    shift = target_shift(LossProbe("step", (call,), None))
    assert shift is not None
    return shift


LAYOUTS = {
    "another ignore index": (PAD, -100, -100), "ignored padding": (PAD, PAD, PAD),
    "counted padding": (PAD, PAD, None), "filled with the end": (END, -100, -100),
    "ignored by -1": (PAD, -1, -1),
}  # fmt: skip


@pytest.mark.parametrize("is_left", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_next_token_is_recognized_beside_filling(layout: str, is_left: bool) -> None:
    fill, target_fill, ignored = LAYOUTS[layout]
    ids = filled([t[:-1] for t in texts()], fill, is_left)
    targets = filled([t[1:] for t in texts()], target_fill, is_left)
    shift = shift_of(ids, targets, ignored)
    assert shift.agreement[1] == 1.0
    assert shift.only_at(-1, 0, 2, 3) is None


@pytest.mark.parametrize("is_left", [False, True])
@pytest.mark.parametrize("layout", ["another ignore index", "ignored padding"])
@pytest.mark.parametrize("wrong", [0, 2])
def test_wrong_shift_is_recognized_beside_filling(layout: str, is_left: bool, wrong: int) -> None:
    fill, target_fill, ignored = LAYOUTS[layout]
    ids = filled([t[: len(t) - wrong] for t in texts()], fill, is_left)
    targets = filled([t[wrong:] for t in texts()], target_fill, is_left)
    assert shift_of(ids, targets, ignored).only_at(0, 2) == wrong


def test_hidden_tokens_are_no_next_token() -> None:
    whole = filled(texts(), PAD)
    is_hidden = torch.rand(whole.shape, generator=torch.Generator().manual_seed(2)) < 0.4
    ids = whole.masked_fill(is_hidden, 41)
    shift = shift_of(ids, whole.masked_fill(~is_hidden, -100), -100)
    assert max(shift.agreement.values()) < AGREE


PROGRAM = """
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

torch.manual_seed(0)
stories = [torch.cat([torch.tensor([1]), torch.randint(3, 30, (n % 5 + 4,)), torch.tensor([2])])
           for n in range(240)]

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.rnn = nn.Embedding(30, 24), nn.GRU(24, 24, batch_first=True)
        self.out = nn.Linear(24, 30)
    def forward(self, x):
        return self.out(self.rnn(self.table(x))[0])

def pair(rows):
    x = pad_sequence([r[:LAST] for r in rows], batch_first=True)
    return x, pad_sequence([r[FIRST:] for r in rows], batch_first=True, padding_value=-100)

def rest():
    return 0

def learn():
    for n in range(40):
        x, y = pair([stories[(n * 7 + k) % 240] for k in range(12)])
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x).transpose(1, 2), y).backward()
        optimizer.step()

net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
learn()
"""


@pytest.mark.parametrize(("first", "last", "bug"), [
    ("1", "-1", None), ("2", "-2", "targets_shifted_twice"),
])  # fmt: skip
def test_check_looks_at_the_shift_of_padded_batches(first: str, last: str, bug: str | None) -> None:
    report = check_source(PROGRAM.replace("FIRST", first).replace("LAST", last))
    assert [b.bug for b in report.bugs] == ([bug] if bug else [])
    assert "targets_unshifted" in report.checked
    listed = next(one for one in report.not_covered if one.startswith("functions"))
    assert listed == "functions that did not run: rest (line 22)"
