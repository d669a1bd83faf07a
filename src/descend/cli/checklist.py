"""`descend checklist`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption, named_run
from descend.cli.output import print_json, print_result


def checklist(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="A run folder, `latest`, or the beginning of a name.",
            callback=named_run,
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Check a run against five rules: model size, learning rate, batch size, context, data."""
    from descend.handbook.checklist import answer_checklist as ask
    from descend.report.text.run_summary import checklist_text

    result = ask(run)
    if as_json:
        print_json("checklist", result)
    else:
        print_result(checklist_text(result))
