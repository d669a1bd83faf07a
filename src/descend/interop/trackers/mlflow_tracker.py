"""MLflow, in its default store of the current folder unless MLFLOW_TRACKING_URI names another."""

from __future__ import annotations

import os
import time
from typing import Any

from descend.interop.trackers.metrics import MetricRow, TrackedRun

EXPERIMENT = "descend"
RUN_TAG = "descend.run_id"
MAX_METRICS, MAX_PARAMS = 1000, 100
"""Metrics and parameters that MLflow takes at once."""

STATUS = {"finished": "FINISHED", "interrupted": "KILLED"}


class MlflowTracker:
    """A run of MLflow, earlier again by a tag when the run is resumed."""

    def __init__(self, run: TrackedRun) -> None:
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient()
        experiment = self._experiment_id(os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT))
        earlier = self._client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{run.run_id}'")
        if earlier:
            self._run_id = earlier[0].info.run_id
            self._client.update_run(self._run_id, status="RUNNING")
            return
        made = self._client.create_run(experiment, tags={RUN_TAG: run.run_id}, run_name=run.name)
        self._run_id = made.info.run_id
        params = [Param(key, str(value)[:500]) for key, value in run.config.items()]
        for start in range(0, len(params), MAX_PARAMS):
            self._client.log_batch(self._run_id, params=params[start : start + MAX_PARAMS])

    def _experiment_id(self, name: str) -> Any:
        experiment = self._client.get_experiment_by_name(name)
        return self._client.create_experiment(name) if experiment is None else (
            experiment.experiment_id
        )  # fmt: skip

    def log(self, rows: list[MetricRow]) -> None:
        """Log the metrics in batches."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(name, value, now, row.step)
            for row in rows
            for name, value in row.metrics.items()
        ]
        for start in range(0, len(metrics), MAX_METRICS):
            self._client.log_batch(self._run_id, metrics=metrics[start : start + MAX_METRICS])

    def close(self, reason: str) -> None:
        """End the run."""
        self._client.set_terminated(self._run_id, STATUS.get(reason, "FAILED"))
