"""`descend cure`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from descend.cli.flags import AsJson
from descend.cli.output import result, result_json, say, talk
from descend.doctor.diagnosis import BUDGET

if TYPE_CHECKING:
    from descend.doctor.treatment import Turn


def cure(
    what: Annotated[
        str,
        typer.Argument(
            metavar="CORPUS_OR_RUN", help="The folder of a run, or text to train on first."
        ),
    ],
    minutes: Annotated[
        float,
        typer.Option(
            metavar="M",
            help="Nothing is begun that would not fit into them; of a "
            "text the first training is always made.",
        ),
    ] = 30.0,
    budget: Annotated[
        float, typer.Option(metavar="SHARE", help="Of each run's time, for the trials on it.")
    ] = BUDGET,
    as_json: AsJson = False,
) -> None:
    """Diagnose, apply what is prescribed, train, and again, within a time limit.

    descend cure my/texts --minutes 60
    """
    from descend.api import cure as treat
    from descend.report.diagnosis import treatment_text, turn_line

    def seen(turn: Turn) -> None:
        if turn.gain is not None:  # where it begins is known, and told at the end
            say(turn_line(turn))

    found = treat(what, minutes, budget=budget, console=talk(), seen=seen)
    if as_json:
        result_json(found)
    else:
        result(treatment_text(found))
