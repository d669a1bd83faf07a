"""`descend checklist`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descend.cli.flags import AsJson, named_run
from descend.cli.output import result, result_json


def checklist(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="The folder of a run.",
            callback=named_run,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Ask the golden rules of a run: size, rate, batch, context, data.

    descend checklist models/transformer_1735862400
    """
    from descend.handbook.checklist import checklist as ask
    from descend.report.words import checklist_text

    found = ask(run)
    if as_json:
        result_json(found)
    else:
        result(checklist_text(found))
