"""A script whose loop stands in no function: the loop's body is the step."""

from __future__ import annotations

from pathlib import Path

import pytest

from descend import check
from descend.report.text.check_summary import format_check_report

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
data = torch.randint(0, 50, (64, 17))
model = nn.Sequential(nn.Embedding(50, 16), nn.Linear(16, 50))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for number in range(24):
    rows = data[number % 8 * 8 : number % 8 * 8 + 8]
    loss = nn.functional.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
    (loss / PARTS).backward()
    FINISH
"""

CLEARED = {
    "zero_grad": "optimizer.step(); optimizer.zero_grad()",
    "set to zero": "optimizer.step(); optimizer.zero_grad(set_to_none=False)",
    "by hand": "optimizer.step(); [setattr(p, 'grad', None) for p in model.parameters()]",
    "clipped": "nn.utils.clip_grad_norm_(model.parameters(), 0.1); optimizer.step(); "
               "model.zero_grad()",
    "accumulated": "number % 4 == 3 and (optimizer.step(), optimizer.zero_grad())",
}  # fmt: skip


def said_of(finish: str) -> tuple[list[str], str]:
    """The bugs of a script that ends its steps so, and what is reported of it."""
    source = SCRIPT.replace("FINISH", finish).replace("PARTS", "4" if "% 4" in finish else "1")
    Path("script.py").write_text(source)
    report = check("script.py")
    return [bug.bug for bug in report.bugs], format_check_report(report)


def test_check_detects_unzeroed_gradients_in_plain_script() -> None:
    bugs, text = said_of("optimizer.step()")
    assert bugs == ["gradients_not_zeroed"]
    (line,) = [n for n, x in enumerate(Path("script.py").read_text().splitlines(), 1)
               if "optimizer.step()" in x]  # fmt: skip
    assert f"Location: script.py:{line}\n" in text
    assert said_of("nn.utils.clip_grad_norm_(model.parameters(), 0.1); optimizer.step()")[0] == bugs


@pytest.mark.parametrize("form", CLEARED)
def test_check_accepts_every_form_of_gradient_zeroing(form: str) -> None:
    bugs, text = said_of(CLEARED[form])
    assert bugs == []
    assert "gradients_not_zeroed" in text.split("Not checked")[0]


def test_checks_apply_to_a_plain_script() -> None:
    _, text = said_of(CLEARED["zero_grad"])
    assert text.startswith("script.py: no bug found")
    assert "targets_unshifted" in text.split("Not checked")[0]
