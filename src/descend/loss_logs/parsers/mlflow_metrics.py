"""The folder of an MLflow run: a file a metric, with a time, a value and a step in each line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from descend.guard import is_regular_below
from descend.loss_logs.curve_assembly import CurveAssembly
from descend.loss_logs.log_lines import read_lines
from descend.loss_logs.number_parsing import number
from descend.loss_logs.parsers.event_files import read_scalars
from descend.loss_logs.parsers.structured import OF_THE_WHOLE_RUN

Curves = dict[str, list[tuple[float, float]]]
"""Steps and values of each metric of a run."""

_METRICS = "metrics"
_BESIDE = ("meta.yaml", "params", "tags")
"""What MLflow writes beside the metrics of a run."""
_MAX_NAME_FOLDERS = 3
"""Folders that a name such as `train/loss` makes, at most."""


def mlflow_metrics_folder(path: Path) -> Path | None:
    """Return the folder of metrics that the file `path` is one of; None for another file."""
    for folder in path.parents[:_MAX_NAME_FOLDERS]:
        if folder.name == _METRICS and any((folder.parent / name).exists() for name in _BESIDE):
            return folder
    return None


def read_mlflow(folder: Path, assembly: CurveAssembly) -> bool:
    """Read all metrics of a run; False if they hold no loss."""
    assembly.facts.kind = "MLflow run"
    files = [path for path in sorted(folder.rglob("*")) if is_regular_below(path, folder)]
    curves = {path.relative_to(folder).as_posix(): list(_points(path)) for path in files}
    return read_curves(curves, assembly)


def read_curves(curves: Curves, assembly: CurveAssembly) -> bool:
    """Read the metrics of a run in the order of their steps; False if they hold no loss."""
    assembly.facts.names.update(list(curves)[:500])
    # The Trainer logs the mean over the whole run at its last step, beside the loss there.
    if any(name in curves for name in OF_THE_WHOLE_RUN):
        curves = {k: v for k, v in curves.items() if k not in (*OF_THE_WHOLE_RUN, "train_loss")}
    rows = [(step, {name: value}) for name, points in curves.items() for step, value in points]
    rows.sort(key=lambda row: row[0])
    return read_scalars(iter(rows), assembly)


def number_points(points: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield steps and values; a program that names no step has 0 at each value, and then values
    count."""
    has_steps = any(step != 0 for step, _ in points)
    for index, (step, value) in enumerate(points, start=1):
        yield (step if has_steps else float(index)), value


def _points(path: Path) -> Iterator[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    for line in read_lines(path):
        cells = [number(cell) for cell in line.text.split()]
        if len(cells) == 3 and cells[1] is not None and cells[2] is not None:
            points.append((cells[2], cells[1]))
    return number_points(points)
