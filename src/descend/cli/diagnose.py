"""`descend diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descend.cli.flags import AsJson
from descend.cli.output import result, result_json, talk

RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="The folder of a run, finished or not.")
]


def diagnose(
    run: RunFolder,
    budget: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Of the run's own time, for trials; at least a minute."),
    ] = 0.15,
    no_proof: Annotated[
        bool, typer.Option("--no-proof", help="Read the signals only, try nothing.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Tell how each other cause was ruled out.")
    ] = False,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(metavar="CAUSE", help="End with exit code 1 if this is the verdict."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say why a run does not learn better, with proof by trial.

    descend diagnose models/transformer_1735862400
    """
    from descend.api import diagnose as examine
    from descend.doctor.consult import check_causes
    from descend.report.diagnosis import diagnosis_text

    named = check_causes(fail_on or [])
    found = examine(run, budget=budget, proof=not no_proof, console=talk())
    if as_json:
        result_json(found)
    else:
        result(diagnosis_text(found, explain))
    if found.verdict in named or any(f.cause in named for f in found.causes):
        raise typer.Exit(1)
