"""Networks that read in order by themselves, and gradients that list only the rows in use."""

from __future__ import annotations

import pytest

from descend.program_check.bug_report import Checked

from .check_source import check_source

PROGRAM = """
import torch
from torch import nn
from torch.nn import functional as F
torch.manual_seed(0)
V, T, D = 20, 48, 24
first, stride = torch.randint(0, V, (256, 1)), torch.randint(1, 5, (256, 1))
data = (first + stride * torch.arange(T + 1)) % V
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(V, D, sparse=SPARSE), nn.Linear(D, V)
        PART
    def forward(self, x):
        h = self.table(x)
        MIX
        return self.head(h)
net = Net()
rest = [p for n, p in net.named_parameters() if n != "table.weight"]
optimizers = [torch.optim.Adam(rest, lr=1e-3), torch.optim.TABLE([net.table.weight], lr=1e-3)]
for step in range(150):
    x = data[torch.randint(len(data), (8,))]
    CLEAR
    F.cross_entropy(net(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten()).backward()
    for optimizer in optimizers:
        optimizer.step()
"""
GRADIENTS = (
    "gradients_not_zeroed", "step_never_called", "targets_unshifted", "loss_not_averaged",
    "softmax_before_cross_entropy",
)  # fmt: skip
CLEAR = "for optimizer in optimizers: optimizer.zero_grad()"


def check(part: str, mix: str, sparse: bool = False, clear: str = CLEAR) -> Checked:
    """The report on a network with `part`, which `mix` calls."""
    text = PROGRAM.replace("SPARSE", str(sparse)).replace("PART", part).replace("MIX", mix)
    text = text.replace("TABLE", "SparseAdam" if sparse else "Adam").replace("CLEAR", clear)
    return check_source(text)


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
def test_recurrent_networks_know_positions(kind: str) -> None:
    """They forget the first tokens within a few dozen, so the last place says nothing of order."""
    report = check(f"self.mix = nn.{kind}(D, D, 2, batch_first=True)",
                   "h = self.mix(h)[0]")  # fmt: skip
    assert "positions_missing" in report.checked
    assert (report.bugs, [w.bug for w in report.remarks]) == ([], [])


def test_attention_without_positions_is_still_remarked() -> None:
    mix = "h = h + F.scaled_dot_product_attention(*self.mix(h).chunk(3, -1), is_causal=True)"
    report = check("self.mix = nn.Linear(D, 3 * D)", mix)
    assert [w.bug for w in report.remarks] == ["positions_missing"]


def test_sparse_gradients_are_checked_like_others() -> None:
    report = check("self.mix = nn.GRU(D, D, batch_first=True)", "h = self.mix(h)[0]",
                   sparse=True)  # fmt: skip
    assert report.bugs == []
    assert set(GRADIENTS) <= set(report.checked)


def test_sparse_gradients_that_are_never_cleared_are_a_bug() -> None:
    report = check("self.mix = nn.GRU(D, D, batch_first=True)", "h = self.mix(h)[0]",
                   sparse=True, clear="pass")  # fmt: skip
    assert "gradients_not_zeroed" in [b.bug for b in report.bugs]
