"""JSON whose rows are lists: TensorBoard's downloads, and two layouts of pandas."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from descend.errors import LogError
from descend.loss_logs.read_log import read_log

from .written_logs import train_losses, written

STEPS = list(range(0, 3000, 100))
LOSSES = [round(2.0 + 8.0 * math.exp(-step / 800), 4) for step in STEPS]


def scalars(losses: list[float]) -> list[list[float | None]]:
    """What TensorBoard downloads: wall time, step, value."""
    pairs = zip(STEPS, losses, strict=True)
    return [[1.7e9 + step / 7, step, None if math.isnan(loss) else loss] for step, loss in pairs]


def pandas_columns(losses: list[float]) -> dict[str, dict[str, float]]:
    """What `DataFrame.to_json()` writes."""
    columns = {"step": STEPS, "loss": losses}
    return {name: {str(i): v for i, v in enumerate(column)} for name, column in columns.items()}


def pandas_split(losses: list[float]) -> dict[str, Any]:
    """What `DataFrame.to_json(orient="split")` writes."""
    data = [list(pair) for pair in zip(STEPS, losses, strict=True)]
    return {"columns": ["step", "loss"], "index": list(range(len(data))), "data": data}


def charts(losses: list[float]) -> dict[str, list[list[float | None]]]:
    """What tensorboardX's `export_scalars_to_json` writes."""
    return {"runs/a/train_loss": scalars(losses), "runs/a/lr": scalars([3e-4] * len(losses))}


@pytest.mark.parametrize("layout", [scalars, pandas_columns, pandas_split, charts])
def test_losses_and_steps(layout: Callable[[list[float]], Any], tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps(layout(LOSSES)), "download.json")
    log = read_log(path)
    assert train_losses(log) == LOSSES
    assert [entry.position for entry in log.entries] == STEPS


def test_null_is_a_loss_that_is_no_number(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        json.dumps(scalars([*LOSSES[:-3], math.nan, math.nan, math.nan])),
        "run-a-tag-train_loss.json",
    )
    losses = train_losses(read_log(path))
    assert [math.isnan(loss) for loss in losses[-4:]] == [False, True, True, True]


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_file_name_tells_the_chart(suffix: str, tmp_path: Path) -> None:
    text = json.dumps(scalars(LOSSES))
    if suffix == "csv":
        rows = "\n".join(",".join(map(str, row)) for row in scalars(LOSSES))
        text = f"Wall time,Step,Value\n{rows}"
    validation = tmp_path / f"run-a-tag-eval_loss.{suffix}"
    validation.write_text(text)
    assert [entry.validation_loss for entry in read_log(validation).entries] == LOSSES
    rate = tmp_path / f"run-a-tag-train_learning_rate.{suffix}"
    rate.write_text(text)
    with pytest.raises(LogError, match="no losses"):
        read_log(rate)


def test_numbers_without_time_are_no_chart(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps([[1.0, 2, 3.0]] * 30), "numbers.json")
    with pytest.raises(LogError):
        read_log(path)
