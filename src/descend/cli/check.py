"""`descend check`."""

from __future__ import annotations

from typing import Annotated

import typer

from descend.cli.flags import AsJson
from descend.cli.output import result, result_json


def check(
    module: Annotated[
        str,
        typer.Argument(metavar="MODULE", help="A dotted name, or the path of a .py file."),
    ],
    as_json: AsJson = False,
) -> None:
    """Look for bugs in a PyTorch training program by trying it out; see docs/check.md.

    The module is imported, so it runs. Exit code 1 if a bug is found.

    descend check my_training.py
    """
    from descend import api
    from descend.report.checked import checked_text

    found = api.check(module)
    if as_json:
        result_json(found)
    else:
        result(checked_text(found))
    if found.bugs:
        raise typer.Exit(1)
