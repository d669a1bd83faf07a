"""A loop that only `if __name__ == "__main__"` starts is run, whatever the program imports."""

from __future__ import annotations

import pytest

from .check_source import check_source

GUARDED = """
import torch
from torch.utils.data import DataLoader, TensorDataset
from transformers import GPT2Config, GPT2LMHeadModel

torch.manual_seed(1)
ids = torch.randint(0, 5, (320, 17)).cumsum(1) % 23
loader = DataLoader(TensorDataset(ids[:, :-1], ids[:, 1:]), batch_size=8, shuffle=True)
model = GPT2LMHeadModel(GPT2Config(vocab_size=23, n_positions=16, n_embd=32, n_layer=1, n_head=2))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

def fit():
    for epoch in range(3):
        model.train()
        for inputs, targets in loader:
            loss = model(input_ids=inputs, labels=LABELS).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

if __name__ == "__main__":
    fit()
"""


@pytest.mark.parametrize(("labels", "bug"), [("targets", True), ("inputs", False)])
def test_guarded_loop_of_a_transformers_model_is_checked(labels: str, bug: bool) -> None:
    checked = check_source(GUARDED.replace("LABELS", labels))
    names = {report.bug for report in checked.bugs}
    assert ("targets_shifted_twice" in names) == bug
    assert checked.is_complete
