"""The textbook loop carried through: nanoGPT's published recipe for a CPU, by characters.

    python benchmarks/speed/textbook_run.py TEXT

Settings are those of nanoGPT's README for `shakespeare_char` on a CPU: 4 layers of 128, context 64,
batch 12, 2,000 steps, AdamW 0.001 to 0.0001 by cosine, warmup 100, betas 0.9 and 0.99, clip 1, no
dropout, not compiled, float32. Prints the held-out loss (last tenth) and the seconds as JSON.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

BEGAN = time.perf_counter()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from textbook import TextbookGPT  # noqa: E402
from torch.nn import functional as F  # noqa: E402

STEPS, BATCH, CONTEXT, WARM_UP = 2000, 12, 64, 100
RATE, LEAST_RATE = 1e-3, 1e-4


def main() -> None:
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    letters = sorted(set(text))
    place = {letter: number for number, letter in enumerate(letters)}
    ids = torch.tensor([place[letter] for letter in text])
    cut = int(0.9 * len(ids))
    train, held_out = ids[:cut], ids[cut:]
    torch.manual_seed(1337)
    model = TextbookGPT(len(letters), 128, 4, 4, 512, CONTEXT)
    decaying = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decaying, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}],
        lr=RATE, betas=(0.9, 0.99),
    )  # fmt: skip
    random = np.random.default_rng(1337)
    for step in range(STEPS):
        share = max(0.0, (step - WARM_UP) / (STEPS - WARM_UP))
        rate = LEAST_RATE + 0.5 * (RATE - LEAST_RATE) * (1 + math.cos(math.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = RATE * (step + 1) / WARM_UP if step < WARM_UP else rate
        starts = random.integers(0, len(train) - CONTEXT - 1, BATCH)
        batch = torch.stack([train[s : s + CONTEXT + 1] for s in starts])
        logits = model(batch[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    seconds = time.perf_counter() - BEGAN
    print(json.dumps({"loss": loss_on(model, held_out), "seconds": seconds}))


@torch.no_grad()
def loss_on(model: TextbookGPT, ids: torch.Tensor) -> float:
    """Nats a character over all windows of `ids`; not timed."""
    model.eval()
    count = (len(ids) - 1) // CONTEXT
    inputs = ids[: count * CONTEXT].view(count, CONTEXT)
    targets = ids[1 : count * CONTEXT + 1].view(count, CONTEXT)
    total = 0.0
    for x, y in zip(inputs.split(64), targets.split(64), strict=True):
        total += F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum").item()
    return total / targets.numel()


if __name__ == "__main__":
    main()
