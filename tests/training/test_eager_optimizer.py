"""Optimizers without torch's compiler: the same bits, and three seconds less in every process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import AdamW

from descend.training.eager_optimizer import EagerAdamW

PROGRAM = """
import json, sys
import descend
tiny = json.loads(sys.argv[1])
descend.run(tiny | {"compile": "off", "save_dir": "models/first"})
print(len(descend.load("models/first").predict("The cat", 5, seed=1)) > 0)
print("torch._dynamo" in sys.modules)
"""


@pytest.mark.parametrize("fused", [False, True])
def test_eager_adamw_moves_weights_as_torchs_does(fused: bool) -> None:
    results = []
    for kind in (AdamW, EagerAdamW):
        generator = torch.Generator().manual_seed(3)
        weight = torch.nn.Parameter(torch.randn(7, 5, generator=generator))
        groups: list[dict[str, Any]] = [{"params": [weight], "weight_decay": 0.1, "scale": 2.0}]
        optimizer = kind(groups, lr=0.01, betas=(0.9, 0.95), fused=fused)
        for _ in range(4):
            weight.grad = torch.randn(7, 5, generator=generator)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        state = optimizer.state_dict()
        again = kind([{"params": [weight], "weight_decay": 0.1, "scale": 2.0}], lr=0.0, fused=fused)
        again.load_state_dict(state)
        weight.grad = torch.ones(7, 5)
        again.step()
        results.append((weight.detach().clone(), state["state"][0]["exp_avg_sq"].clone()))
    (theirs, their_squares), (ours, our_squares) = results
    assert torch.equal(theirs, ours)
    assert torch.equal(their_squares, our_squares)


def test_training_and_loading_leave_the_compiler_unloaded(
    tiny: dict[str, Any], own_folder: Path
) -> None:
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(tiny)], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split()[-2:] == ["True", "False"]
