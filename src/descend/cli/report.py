"""`descend report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption, named_run
from descend.cli.output import print_json, print_result, print_status


def report(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="The folder of a run, or of a comparison.", callback=named_run
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Left out: report.html in the folder."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write all that is known of a run or a comparison into one HTML file.

    descend report models/transformer_1735862400
    """
    from descend.report.html.write import write_report

    print_status("looking closely …")
    written = write_report(run, output)
    for warning in written.warnings:
        print_status(f"not shown: {warning}")
    if as_json:
        print_json(written)
    else:
        print_result(f"{written.file} ({written.bytes / 1e6:.1f} MB): open it in a browser")
