"""`descend evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from descend.cli.config_flags import CORPUS_HELP, JsonOption
from descend.cli.generate import ModelFolder
from descend.cli.output import print_report, set_up_logging


def evaluate(
    model: ModelFolder,
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help=CORPUS_HELP)],
    as_json: JsonOption = False,
) -> None:
    """Evaluate a model on a text it was not trained on."""
    from descend.api import load
    from descend.report.text.evaluation_summary import describe_evaluation

    set_up_logging("info")
    evaluation = load(model).evaluate(corpus)
    print_report("evaluate", evaluation, lambda: describe_evaluation(evaluation), as_json)
