"""`descend attribute`."""

from __future__ import annotations

from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption
from descend.cli.output import print_report, print_status, stderr_console
from descend.cli.trial_options import (
    ComparisonFolder,
    EvaluationTokens,
    Seeds,
    Workers,
    format_typed_command,
)
from descend.cli.trials_file import TrialsFile, make_trial_writer
from descend.trials.trial_spec import EVALUATION_TOKENS

MaxRuns = Annotated[
    int,
    typer.Option(
        "--max-runs",
        min=2,
        metavar="INT",
        help="Maximum number of training runs. All combinations of changes are trained if they "
        "fit.",
    ),
]
TrainFraction = Annotated[
    float,
    typer.Option(
        "--train-fraction",
        metavar="FLOAT",
        rich_help_panel="Data",
        help="Fraction of the training text to use. Range: above 0 to 1.",
    ),
]


def attribute(
    context: typer.Context,
    a: Annotated[
        str, typer.Argument(metavar="A", help="A preset, configuration file, or run folder.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The configuration to compare with A.")],
    corpus: Annotated[
        str | None,
        typer.Argument(metavar="[CORPUS]", help="Text to train on. Default: the text of A or B."),
    ] = None,
    seeds: Seeds = 3,
    runs: MaxRuns = 64,
    train_fraction: TrainFraction = 1.0,
    evaluation_tokens: EvaluationTokens = EVALUATION_TOKENS,
    workers: Workers = None,
    save_dir: ComparisonFolder = None,
    trials_file: TrialsFile = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how much each change between A and B contributes to loss, accuracy, and time."""
    from descend.api import run_attribution
    from descend.experiments.attribute.attribution_trials import (
        design_attribution,
        on_common_corpus,
    )
    from descend.experiments.experiment_folder import create_experiment_folder
    from descend.experiments.json_output import attribution_fields
    from descend.experiments.named_config import load_named_config
    from descend.report.text.experiment_tables import attribution_text

    pair = on_common_corpus(load_named_config(a), load_named_config(b), corpus)
    plan = design_attribution(
        *pair,
        seeds=seeds,
        runs=runs,
        train_fraction=train_fraction,
        evaluation_tokens=evaluation_tokens,
    )
    folder = create_experiment_folder(save_dir)
    attribution = run_attribution(
        plan,
        folder,
        command=format_typed_command(context, "--save-dir", "--trials-file"),
        workers=workers,
        console=stderr_console(),
        on_trial=make_trial_writer(trials_file),
    )
    print_report(
        "attribute", attribution_fields(attribution), lambda: attribution_text(attribution), as_json
    )
    print_status(f"saved in {folder}")
