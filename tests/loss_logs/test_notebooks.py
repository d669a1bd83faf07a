"""Curves in Jupyter notebooks that were saved with their outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from transformers.utils.notebook import text_to_html_table

from descend.cli.main import run as run_command
from descend.errors import LogError
from descend.loss_logs.read_log import read_log

from .written_logs import written


def write_notebook(folder: Path, *outputs: Any, source: str = "train()") -> Path:
    cells = [new_markdown_cell("step 1: loss 9.5"), new_code_cell(source, outputs=list(outputs))]
    path = folder / "train.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


def stream(text: str, name: str = "stdout") -> Any:
    return new_output("stream", name=name, text=text)


def test_lines_that_cells_printed_are_the_curve(tmp_path: Path) -> None:
    lines = [
        f"\x1b[1mstep {n}\x1b[0m: train loss {4 - n / 100}, val loss {4.1 - n / 100}"
        for n in range(0, 200, 50)
    ]
    book = write_notebook(
        tmp_path, stream("\n".join(lines)), stream(" 50%|█    | 1/2", "stderr"),
        source="loss = 0.25\nfor step in range(3): print(step, 'loss: 8.5')",
    )  # fmt: skip
    log = read_log(book)
    assert [entry.position for entry in log.entries] == [0, 50, 100, 150]
    assert [entry.validation_loss for entry in log.entries] == pytest.approx([4.1, 3.6, 3.1, 2.6])
    assert log.kind == "output of a notebook"


def test_table_that_the_trainer_shows_is_the_curve(tmp_path: Path) -> None:
    rows = [[n, "No log" if n == 10 else 3.0 - n / 100, 3.2 - n / 100] for n in (10, 20, 30, 40)]
    page = text_to_html_table([["Step", "Training Loss", "Validation Loss"], *rows])
    plain = "<IPython.core.display.HTML object>"
    book = write_notebook(
        tmp_path, new_output("display_data", data={"text/html": page, "text/plain": plain})
    )
    log = read_log(book)
    assert [entry.position for entry in log.entries] == [10, 20, 30, 40]
    assert [entry.train_loss for entry in log.entries] == [None, 2.8, 2.7, 2.6]
    assert [entry.validation_loss for entry in log.entries] == [3.1, 3.0, 2.9, 2.8]


def test_notebook_without_losses_is_named_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = write_notebook(tmp_path, stream("done"), source="print('step 5 loss: 2.5')\n" * 9)
    with pytest.raises(LogError, match="a notebook whose outputs show no losses"):
        read_log(book)
    assert run_command(["diagnose", str(book)]) == 2
    assert "a notebook with its outputs" in capsys.readouterr().err


@pytest.mark.parametrize(
    "cells", ["7", "[7]", '[{"outputs": 7}]', '[{"outputs": [{"data": 7, "text": [7]}]}]']
)
def test_notebook_of_another_shape_has_no_losses(cells: str, tmp_path: Path) -> None:
    path = written(tmp_path, f'{{"nbformat": 4, "cells": {cells}}}', "odd.ipynb")
    with pytest.raises(LogError, match="a notebook whose outputs show no losses"):
        read_log(path)
