"""`descend resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption, Verbose, named_run
from descend.cli.train import Track


def resume(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="The run folder.",
            callback=named_run,
        ),
    ],
    track: Track = None,
    verbose: Verbose = False,
    as_json: JsonOption = False,
) -> None:
    """Continue an interrupted run exactly where it stopped."""
    from descend.cli.output import print_start

    print_start()
    from descend.api import resume as take_up
    from descend.cli.run_and_report import run_and_report

    run_and_report(
        lambda console: take_up(model, console, track=track or ()), as_json, verbose=verbose
    )
