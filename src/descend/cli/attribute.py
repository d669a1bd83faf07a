"""`descend attribute`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descend.cli.flags import AsJson
from descend.cli.output import result, result_json, say, talk
from descend.cli.series import JudgedOn, Seeds, Workers, typed
from descend.trials.arms import EVALUATION_TOKENS


def attribute(
    context: typer.Context,
    a: Annotated[str, typer.Argument(metavar="A", help="A preset, a file of keys, or a run.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The same; what A is changed to.")],
    corpus: Annotated[
        str | None, typer.Argument(metavar="[CORPUS]", help="The text; left open: that of A or B.")
    ] = None,
    seeds: Seeds = 3,
    runs: Annotated[
        int,
        typer.Option("--runs", min=2, help="Most runs to make; all sets of changes if they fit."),
    ] = 64,
    train_share: Annotated[
        float,
        typer.Option(
            "--train-share", help="Share of the training text to use, spread evenly over it."
        ),
    ] = 1.0,
    evaluation_tokens: JudgedOn = EVALUATION_TOKENS,
    workers: Workers = None,
    save_dir: Annotated[
        Path | None, typer.Option("--save-dir", help="Left open: comparisons/<unix time>.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Which change from A to B brought how much, in loss, accuracy and time?

    descend attribute old guide my/texts --runs 128
    """
    from descend.api import make_attribution
    from descend.lab.attribute import config_pair, design
    from descend.lab.folder import new_experiment_folder
    from descend.lab.sources import named_config
    from descend.report.experiments import attribution_text

    folder = new_experiment_folder(save_dir)
    pair = config_pair(named_config(a), named_config(b), corpus)
    plan = design(
        *pair, seeds=seeds, runs=runs, train_share=train_share, evaluation_tokens=evaluation_tokens
    )
    found = make_attribution(
        plan, folder, command=typed(context, "--save-dir"), workers=workers, console=talk()
    )
    if as_json:
        result_json(found)
    else:
        result(attribution_text(found))
    say(f"saved in {folder}")
