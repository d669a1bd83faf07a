"""TensorBoard: event files in the run folder, in `tensorboard`."""

from __future__ import annotations

from pathlib import Path

from descend.interop.trackers.metrics import MetricRow, TrackedRun

FOLDER = "tensorboard"


class TensorBoardTracker:
    """A writer of event files; a resumed run adds a file to those that are there."""

    def __init__(self, run: TrackedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(Path(run.folder) / FOLDER))
        table = "\n".join(f"| {key} | {value} |" for key, value in run.config.items())
        self._writer.add_text("config", f"| key | value |\n|---|---|\n{table}", 0)

    def log(self, rows: list[MetricRow]) -> None:
        """Write each metric as a scalar."""
        for row in rows:
            for name, value in row.metrics.items():
                self._writer.add_scalar(name, value, row.step)
        self._writer.flush()

    def close(self, reason: str) -> None:
        """Close the file."""
        self._writer.close()
