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
            help="A run folder, `latest`, or the beginning of a name.",
            callback=named_run,
        ),
    ],
    num_processes: Annotated[
        int | None,
        typer.Option(
            "--num-processes",
            "--processes",
            min=1,
            help="Processes that share each batch. Default: as many as before.",
        ),
    ] = None,
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
        lambda console: take_up(model, console, num_processes=num_processes, track=track or ()),
        as_json,
        verbose=verbose,
    )
