"""`descend improve`."""

from __future__ import annotations

from typing import Annotated

import typer

from descend.cli.clock import command_began
from descend.cli.config_flags import JsonOption
from descend.cli.output import print_report, print_status, set_up_logging, stderr_console


def improve(
    what: Annotated[
        str, typer.Argument(metavar="RUN_OR_TEXT", help="A run folder, or a text to train on.")
    ],
    minutes: Annotated[
        float,
        typer.Option(
            metavar="FLOAT", help="Time limit in minutes for all runs together. Range: above 0."
        ),
    ] = 10.0,
    save_dir: Annotated[
        str | None,
        typer.Option(
            "--save-dir",
            metavar="DIR",
            help="Output folder. An interrupted improvement is continued. "
            "Default: improvements/<unix time>.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Improve a run, or train the best model for a text, within a time limit.

    A recipe for the text and the time is planned and trained. Then changes are tested in short
    trials, or models learn from earlier ones. The best model stays.
    """
    from descend.api import improve as find_best
    from descend.report.text.improvement_summary import improvement_text, model_line, trial_line

    set_up_logging("info")
    improvement = find_best(
        what, minutes, save_dir=save_dir, began=command_began(), console=stderr_console(),
        on_model=lambda model: print_status(model_line(model)),
        on_trial=lambda trial: print_status(trial_line(trial)),
    )  # fmt: skip
    print_report("improve", improvement, lambda: improvement_text(improvement), as_json)
