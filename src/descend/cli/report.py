"""`descend report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption, named_run
from descend.cli.output import print_report, print_status


def report(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="Folder of a run, a comparison, or a watched loop, or a log of another program.",
            callback=named_run,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="HTML file. Default: report.html in the folder."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write an HTML report of a run, a comparison, or a log."""
    from descend.report.html.write import write_report

    print_status("Building the report…")
    written = write_report(run, output)
    for warning in written.warnings:
        print_status(f"Not in the report: {warning}")
    print_report(
        "report",
        written,
        lambda: f"{written.file} ({written.bytes / 1e6:.1f} MB). Open it in a browser.",
        as_json,
    )
