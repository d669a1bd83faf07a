"""The report of a run or an experiment, shown in a notebook."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from descend.api.model import Model
from descend.errors import RunFolderError, UserError
from descend.report.html.rendering import render
from descend.report.html.write import make_report_page
from descend.report.notebook.report_frame import report_frame
from descend.report.notebook_cell import display_cell


def show(run: Model | str | os.PathLike[str], *, height: int = 800) -> None:
    """Show the report of `run` with all its figures in the cell of a notebook.

    `run`: a model, or the folder of a run or an experiment. `height`: of the frame, in CSS pixels.
    `RunFolderError` where there is nothing to report on, `UserError` outside a notebook.
    """
    folder = run.folder if isinstance(run, Model) else Path(run)
    if not folder.exists():
        raise RunFolderError(
            str(folder), "no such folder", "the folder of a run or of an experiment",
            "check the path",
        )  # fmt: skip
    if not Console().is_jupyter:
        raise UserError(
            "descend.show", "a program outside a notebook", "the cell of a notebook",
            f"write the report to a file with `descend report {folder}`",
        )  # fmt: skip
    display_cell(report_frame(render(make_report_page(folder)), f"Report of {folder.name}", height))
