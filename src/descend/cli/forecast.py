"""`descend forecast`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descend.cli.flags import AsJson
from descend.cli.output import result, result_json


def forecast(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of the run.")],
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs", "--epoch", metavar="N",
            help="How many more; left open: as many as it had, or the rest of an unfinished run.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Say whether more epochs will help, with an interval.

    descend forecast models/transformer_1735862400 --epochs 5
    """
    import msgspec

    from descend.lab.forecast import forecast_run
    from descend.report.prospects import forecast_lines, forecast_sentence

    found = forecast_run(run, epochs)
    if as_json:
        result_json(msgspec.to_builtins(found) | {"sentence": forecast_sentence(found)})
    else:
        result("\n".join(forecast_lines(found)))
