"""`descend list`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption
from descend.cli.output import print_report
from descend.runs.run_list import MODELS


def list_all(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Folder with the runs. Default: models.")
    ] = MODELS,
    as_json: JsonOption = False,
) -> None:
    """List the runs in a folder, oldest first.

    Every command that takes a run also accepts `latest` or the beginning of a run's name.
    """
    from descend.report.text.run_table import listing_text
    from descend.runs.run_list import list_runs

    runs = list_runs(folder)
    print_report(
        "list", {"folder": str(folder), "runs": runs}, lambda: listing_text(runs, folder), as_json
    )
