"""`descend forecast`."""

from __future__ import annotations

from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption, RunArgument
from descend.cli.output import print_report


def forecast(
    run: RunArgument,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs", "--epoch", metavar="INT",
            help="Number of further epochs. Range: 1 to 1000. Default: as many again, or the rest "
            "of an unfinished run.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Predict the validation loss of further epochs, with an 80 % interval."""
    import msgspec

    from descend.forecast.forecast_run import UndeterminedForecast, forecast_run
    from descend.report.text.forecast_summary import (
        explain_undetermined,
        forecast_lines,
        summarize_forecast,
    )

    try:
        result = forecast_run(run, epochs)
    except UndeterminedForecast as reason:
        sentence = explain_undetermined(run, reason)
        fields = {"run": str(run), "effect": "undetermined", "sentence": sentence}
        print_report("forecast", fields, lambda: sentence, as_json)
        return
    fields = msgspec.to_builtins(result) | {"sentence": summarize_forecast(result)}
    print_report("forecast", fields, lambda: "\n".join(forecast_lines(result)), as_json)
