"""A callback for Lightning's Trainer.

from descend.interop.lightning_callback import WatchCallback
trainer = lightning.Trainer(..., callbacks=[WatchCallback()])
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback

from descend.interop.watch import TrainingWatch, choose_free_folder, watch

VALIDATION_NAMES = ("val_loss", "valid_loss", "validation_loss", "val/loss", "loss/val")
"""Names under which modules log a validation loss; the first that is there is recorded."""


class WatchCallback(Callback):  # type: ignore[misc,unused-ignore]
    """Records the loss of each training batch, and the updates of the optimizers.

    `folder`: as for `descend.watch`; by default `descend` below the Trainer's log folder.
    `validation_name`: the name under which the module logs its validation loss.
    """

    def __init__(
        self, folder: str | Path | None = None, validation_name: str | None = None
    ) -> None:
        self.watch: TrainingWatch | None = None
        self._folder = folder
        self._names = (validation_name,) if validation_name else VALIDATION_NAMES

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Start to watch the module and its optimizers."""
        folder = self._folder
        if folder is None and trainer.log_dir:  # asked of all processes, since it is sent around
            folder = choose_free_folder(Path(trainer.log_dir))
        if not trainer.is_global_zero:  # one process records; all have the same weights
            return
        self.watch = watch(pl_module, list(trainer.optimizers), folder)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the loss that `training_step` returned."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if self.watch is not None and loss is not None:
            self.watch.step(loss)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Record the validation loss that the module logged."""
        if self.watch is None or trainer.sanity_checking:
            return
        for name in self._names:
            if name in trainer.callback_metrics:
                self.watch.validation(trainer.callback_metrics[name])
                return

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Close the record."""
        if self.watch is not None:
            self.watch.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Close the record of a training that ended early."""
        if self.watch is not None:
            interrupted = isinstance(exception, KeyboardInterrupt)
            self.watch.close("interrupted" if interrupted else "failed")
