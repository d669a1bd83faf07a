"""A training loop with `accelerate` that descend watches: two lines more.

pip install accelerate
python examples/watch_accelerate.py
descend diagnose watched_runs/accelerated
"""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

import descend

VOCABULARY, BATCHES_PER_STEP = 64, 2

if __name__ == "__main__":
    torch.manual_seed(0)
    tokens = torch.randint(VOCABULARY, (3200,))
    pairs = [(token, (3 * token + 1) % VOCABULARY) for token in tokens]
    model = nn.Sequential(nn.Embedding(VOCABULARY, 32), nn.Linear(32, VOCABULARY))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)

    accelerator = Accelerator(gradient_accumulation_steps=BATCHES_PER_STEP, cpu=True)
    loader = DataLoader(pairs, batch_size=8, shuffle=True)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)

    # Each process has the same weights, so one record is enough.
    watch = None
    if accelerator.is_main_process:
        watch = descend.watch(model, optimizer, "watched_runs/accelerated")
    for inputs, targets in loader:
        with accelerator.accumulate(model):
            loss = functional.cross_entropy(model(inputs), targets)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
        if watch is not None:
            watch.step(loss)
    if watch is not None:
        watch.close()
        print("Next: descend diagnose watched_runs/accelerated")
