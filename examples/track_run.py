"""Train on your own text, and send the metrics to trackers. All of them work offline.

    python examples/track_run.py TEXT [TRACKER…]

TRACKER is tensorboard (the default), wandb, mlflow, or trackio.
"""

import sys

from descend.api import train_with_config
from descend.config_sources import resolve_config

text, *trackers = sys.argv[1:]
trackers = trackers or ["tensorboard"]
resolved = resolve_config({"corpus_dir": text, "save_dir": "models/tracked", "epoch": 1})
model = train_with_config(resolved, track=trackers)
print(f"Validation loss: {model.summary.validation_loss:.3f}")
print("Look at it: tensorboard --logdir models")
