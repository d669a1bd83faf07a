"""Weights & Biases, offline unless WANDB_MODE says otherwise; `wandb sync` uploads it later."""

from __future__ import annotations

import os
from typing import Any, cast

from descend.interop.trackers.metrics import MetricRow, TrackedRun

PROJECT = "descend"


class WandbTracker:
    """A run of wandb; a resumed run has the same id, so that `wandb sync` joins them."""

    def __init__(self, run: TrackedRun) -> None:
        import wandb

        mode = cast(Any, os.environ.get("WANDB_MODE", "offline"))
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT), name=run.name, id=run.run_id,
            resume="allow", config=dict(run.config), mode=mode,
            settings=wandb.Settings(silent=True, console="off"),
        )  # fmt: skip
        # Its own step may only rise, and the steps of a rollback come twice.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, rows: list[MetricRow]) -> None:
        """Log a row at a time."""
        for row in rows:
            self._run.log({**row.metrics, "step": row.step})

    def close(self, reason: str) -> None:
        """Finish the run."""
        self._run.finish(exit_code=0 if reason == "finished" else 1)
