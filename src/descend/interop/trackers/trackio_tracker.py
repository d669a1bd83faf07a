"""Trackio, in its local store; `trackio show` opens it."""

from __future__ import annotations

from descend.interop.trackers.metrics import MetricRow, TrackedRun

PROJECT = "descend"


class TrackioTracker:
    """A run of Trackio; a resumed run goes on under the same name."""

    def __init__(self, run: TrackedRun) -> None:
        import trackio

        self._run = trackio.init(
            project=PROJECT, name=f"{run.name}-{run.run_id}", config=dict(run.config),
            resume="allow", embed=False, auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip

    def log(self, rows: list[MetricRow]) -> None:
        """Log a row at a time."""
        for row in rows:
            self._run.log(row.metrics, step=row.step)

    def close(self, reason: str) -> None:
        """Write what is left."""
        self._run.finish()
