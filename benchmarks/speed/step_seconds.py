"""What an uncompiled step costs on one core in float32, and what each of our shortcuts brings.

    python benchmarks/speed/step_seconds.py [SIZE,SIZE]

Processor seconds (median of twelve steps), pages that the system handed out in one, and megabytes
at the most: as it is, and with one shortcut after another left out. So other programs beside it
matter little. Prints a table; each line is a process of its own.
"""

from __future__ import annotations

import math
import resource
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from unittest.mock import patch

import torch
from compared_programs import SIZES, VOCABULARY

from descend.config import make_config
from descend.model import custom_autograd
from descend.model.initialization import initialize
from descend.model.shape import shape_from_run_config
from descend.model.transformer import Transformer
from descend.training import muon
from descend.training.loss import next_token_loss
from descend.training.optimizers import clip_grad_norm, make_optimizers
from descend.training.process_settings import restore_process_state

LEFT_OUT = {
    "as it is": (),
    "all matrices step by step": ("muon",),
    "and torch's own gradients": ("muon", "kernels"),
    "and freed memory given back": ("muon", "kernels", "memory"),
}
STEPS = 12


def measured(size: dict[str, int], left_out: list[str]) -> str:
    """A line of the table."""
    torch.set_num_threads(1)
    config = make_config(size | {"warmup_steps": 0})
    model = Transformer(shape_from_run_config(config, VOCABULARY), 0.0, "matmul")
    initialize(model, 0)
    optimizers = make_optimizers(model, config)
    ids = torch.randint(0, VOCABULARY, (size["batch_size"], size["seq_len"] + 1))

    def step() -> None:
        loss, _ = next_token_loss(model, ids[:, :-1], ids[:, 1:], 0.0)
        loss.backward()
        clip_grad_norm(model, 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    seconds, pages = [], []
    ratio = math.inf if "muon" in left_out else muon.TALL_MATRIX_RATIO
    uses_own = (lambda _: False) if "kernels" in left_out else custom_autograd.use_custom_backward
    with (
        nullcontext() if "memory" in left_out else restore_process_state(),
        patch.object(muon, "TALL_MATRIX_RATIO", ratio),
        patch.object(custom_autograd, "use_custom_backward", uses_own),
    ):
        torch.set_num_threads(1)
        for _ in range(3):
            step()
        for _ in range(STEPS):
            began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF)
            step()
            seconds.append(time.process_time() - began)
            pages.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before.ru_minflt)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"{statistics.median(seconds):9.3f} {statistics.median(pages):9,.0f} {peak_mib:8,.0f}"


def main() -> None:
    if len(sys.argv) > 2:
        print(measured(SIZES[sys.argv[1]], sys.argv[2].split(",")))
        return
    sizes = sys.argv[1].split(",") if len(sys.argv) > 1 else list(SIZES)[:4]
    print(f"python benchmarks/speed/step_seconds.py {','.join(sizes)}")
    print(f"torch {torch.__version__}, one thread, float32\n{'':38}  seconds     pages       MB")
    for size in sizes:
        for name, left_out in LEFT_OUT.items():
            line = subprocess.run(
                [sys.executable, __file__, size, ",".join(left_out)],
                check=True, capture_output=True, text=True,
            ).stdout  # fmt: skip
            print(f"{size:6} {name:30} {line}", end="", flush=True)


if __name__ == "__main__":
    main()
