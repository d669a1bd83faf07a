"""`descend search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from descend.cli.config_flags import ConfigFile, JsonOption, Preset, resolve_flags
from descend.cli.output import print_report, print_status, stderr_console
from descend.cli.trial_options import (
    BudgetUnitOption,
    Corpus,
    EvaluationTokens,
    Workers,
    format_typed_command,
)
from descend.cli.trials_file import TrialsFile, make_trial_writer
from descend.trials.trial_spec import SEARCH_EVALUATION_TOKENS

Over = Annotated[
    list[str] | None,
    typer.Option(
        "--space",
        metavar="KEY=A..B",
        help="Search space: a range KEY=A..B or values KEY=A,B. May be repeated. Default: "
        "learning_rate, embed_dim, num_layers, batch_size.",
    ),
]


Minutes = Annotated[
    float,
    typer.Option(
        "--minutes",
        metavar="FLOAT",
        help="Time limit in minutes for the whole search. Range: above 0.",
    ),
]
Budget = Annotated[
    float | None,
    typer.Option(
        "--budget",
        metavar="FLOAT",
        help="Training budget per trial, in units of --budget-unit. "
        "Range: above 0. Default: derived from --minutes.",
    ),
]
ConfirmationSeeds = Annotated[
    int,
    typer.Option(
        "--num-seeds",
        min=1,
        max=100,
        metavar="INT",
        help="Number of new seeds for the final comparison of base and best.",
    ),
]
SaveDir = Annotated[
    Path | None,
    typer.Option(
        "--save-dir", metavar="DIR", help="Output folder. Default: a new folder in searches/."
    ),
]


def search(
    context: typer.Context,
    values: dict[str, Any],
    corpus: Corpus = None,
    minutes: Minutes = 30.0,
    over: Over = None,
    match: BudgetUnitOption = "seconds",
    budget: Budget = None,
    seeds: ConfirmationSeeds = 3,
    evaluation_tokens: EvaluationTokens = SEARCH_EVALUATION_TOKENS,
    workers: Workers = None,
    config: ConfigFile = None,
    preset: Preset = None,
    save_dir: SaveDir = None,
    trials_file: TrialsFile = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Search for the best configuration within a time limit.

    Optuna proposes trials. The best one is compared with the base on new seeds.
    """
    from descend.api import run_search
    from descend.experiments.json_output import search_fields
    from descend.experiments.search.search_plan import SearchBudget
    from descend.experiments.search.search_trials import plan_search
    from descend.experiments.search.space import DEFAULT_OVER, make_search_space, parse_over_flags
    from descend.experiments.search.study import import_optuna
    from descend.report.text.search_summary import format_search
    from descend.report.text.trial_progress import PREPARING

    import_optuna()  # refused before the text is read
    text = {} if corpus is None else {"corpus_dir": corpus}
    base = resolve_flags(values | text, config, preset).config
    space = make_search_space(parse_over_flags(over or DEFAULT_OVER), base)
    print_status(PREPARING)
    terms = SearchBudget(
        minutes, match, budget, seeds, evaluation_tokens, workers  # type: ignore[arg-type]
    )  # fmt: skip
    plan = plan_search(base, space, terms, save_dir)
    result = run_search(
        plan, command=format_typed_command(context, "--trials-file"), console=stderr_console(),
        on_trial=make_trial_writer(trials_file),
    )  # fmt: skip
    print_report("search", search_fields(result), lambda: format_search(result), as_json)
    print_status(f"saved in {plan.file.parent}")
