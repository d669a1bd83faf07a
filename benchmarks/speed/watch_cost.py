"""What `descend.watch` costs a training loop: its step time over that of the same loop without it.

    python benchmarks/speed/watch_cost.py RESULTS [--rounds N] [--threads N]

Trains a small GPT-2 of `transformers` on random tokens, in blocks of 50 steps (two records of the
weights each). A round has a block with the watch and one without.
Writes RESULTS/watch_cost.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

import descend
from descend.interop.watch import TrainingWatch
from descend.machine import cpu_name, package_versions

STEPS, BATCH, CONTEXT, VOCABULARY = 50, 8, 128, 1024


def block(model: torch.nn.Module, optimizer: torch.optim.Optimizer, folder: Path | None) -> float:
    """Seconds of `STEPS` steps, with a watch that writes to `folder`, if one is given."""
    watch: TrainingWatch | None = None
    if folder is not None:
        watch = descend.watch(model, optimizer, folder)
    began = time.perf_counter()
    for _ in range(STEPS):
        ids = torch.randint(VOCABULARY, (BATCH, CONTEXT))
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if watch is not None:
            watch.step(loss)
    if watch is not None:
        watch.close()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    shape = GPT2Config(vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=256, n_layer=4, n_head=8)
    model = GPT2LMHeadModel(shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    block(model, optimizer, None)
    ratios, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(args.rounds):
            first, second = (None, Path(folder) / str(number))[:: 1 if number % 2 else -1]
            times = {f is not None: block(model, optimizer, f) for f in (first, second)}
            ratios.append(times[True] / times[False])
            seconds.append(times[False] / STEPS)
            print(f"round {number + 1}: {ratios[-1]:.3f}", flush=True)
    quarter, _, three_quarters = statistics.quantiles(ratios, n=4)
    record = {
        "command": f"python benchmarks/speed/watch_cost.py RESULTS --rounds {args.rounds} "
        f"--threads {args.threads}",
        "processor": cpu_name(), "versions": package_versions(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "tokens_per_step": BATCH * CONTEXT,
        "step_seconds": round(statistics.median(seconds), 4),
        "ratio": round(statistics.median(ratios), 4),
        "ratio_quartiles": [round(quarter, 4), round(three_quarters, 4)],
        "ratios": [round(r, 4) for r in ratios],
    }  # fmt: skip
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / "watch_cost.json").write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
