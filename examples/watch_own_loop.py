"""A training loop in plain PyTorch that descend watches: two lines more.

python examples/watch_own_loop.py
descend diagnose watched_runs/<the newest folder>
"""

from __future__ import annotations

from own_loop import get_batch, model, optimizer, step

import descend

if __name__ == "__main__":
    with descend.watch(model, optimizer) as watch:
        for _ in range(200):
            loss = step(*get_batch())
            watch.step(loss)
    print(f"Next: descend diagnose {watch.folder}")
