"""A callback for the Trainer of `transformers`, and for those of `trl` that build on it.

from descend.interop.transformers_callback import WatchCallback
trainer = Trainer(..., callbacks=[WatchCallback()])
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from descend.interop.watch import TrainingWatch, choose_free_folder, watch


class WatchCallback(TrainerCallback):
    """Records the losses that a Trainer logs, and the updates of its optimizer.

    `folder`: as for `descend.watch`; by default `descend` below the Trainer's output folder.
    `watch` is the record while and after training. The Trainer logs a loss every
    `logging_steps` steps; set it to 1 to 10 for a curve that can be judged.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.watch: TrainingWatch | None = None
        self._folder = folder

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start to watch the model and optimizer of this training."""
        if not state.is_world_process_zero:  # one process records; all have the same weights
            return
        folder = self._folder or choose_free_folder(Path(args.output_dir))
        self.watch = watch(kwargs["model"], kwargs["optimizer"], folder)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Record the losses of a log entry."""
        if self.watch is None or logs is None:
            return
        if "loss" in logs:
            self.watch.step(float(logs["loss"]))
        if "eval_loss" in logs:
            self.watch.validation(float(logs["eval_loss"]))

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close the record."""
        if self.watch is not None:
            self.watch.close()
