"""Children that tests start as the processes of one group, and what rank 0 does in them first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from descend.runs.events import Epoch
from descend.training.loop import train
from descend.training.training_run import TrainingRun

ROOT = Path(__file__).parents[2]


def run_children(code: str, num_processes: int, timeout: float, *arguments: object) -> list[str]:
    """Run `code` in processes, each with its rank and `arguments`; return what they print."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(rank), *map(str, arguments)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(num_processes)
    ]  # fmt: skip
    outputs = []
    for process in processes:
        output, error = process.communicate(timeout=timeout)
        assert process.returncode == 0, error
        outputs.append(output)
    return outputs


def train_past_epoch(run: TrainingRun) -> None:
    """Train until there are best weights, and others of the state to go back to."""
    more = None
    for records in train(run.state, run.plan):
        more = more - 1 if more else more
        if any(isinstance(record, Epoch) for record in records):
            more = 4
        if more == 1:
            break
    assert run.state.best is not None
    assert run.state.rollback_snapshot is not None
