"""`descend compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from descend.cli.config_flags import ConfigFile, JsonOption, Preset, resolve_flags
from descend.cli.output import print_report, print_status, stderr_console
from descend.cli.trial_options import (
    BudgetUnitOption,
    ComparisonFolder,
    EvaluationTokens,
    Seeds,
    Workers,
    format_typed_command,
)
from descend.cli.trials_file import TrialsFile, make_trial_writer
from descend.errors import ConfigError
from descend.trials.trial_spec import EVALUATION_TOKENS

if TYPE_CHECKING:
    from descend.experiments.compare.arms import ComparisonArm


What = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CORPUS | RUN RUN…]",
        help="Text to train on, or finished runs to compare without training.",
    ),
]
Vary = Annotated[
    list[str] | None,
    typer.Option(
        "--vary", metavar="KEY=A,B", help="Values to compare. Repeat the option to build a grid."
    ),
]
ComparedArms = Annotated[
    list[str] | None,
    typer.Option(
        "--arm",
        metavar="NAME",
        help="A preset, configuration file, or run folder to compare. May be repeated.",
    ),
]


Budget = Annotated[
    float | None,
    typer.Option(
        "--budget",
        metavar="FLOAT",
        help="Training budget per run, in units of --budget-unit. "
        "Range: above 0. Default: what the first configuration needs.",
    ),
]
NumEvaluations = Annotated[
    int,
    typer.Option(
        "--num-evaluations",
        min=1,
        metavar="INT",
        rich_help_panel="Output",
        help="Validation evaluations during each run, for learning curves.",
    ),
]


def compare(
    context: typer.Context,
    values: dict[str, Any],
    what: What = None,
    vary: Vary = None,
    arms: ComparedArms = None,
    match: BudgetUnitOption = "tokens",
    budget: Budget = None,
    seeds: Seeds = 3,
    points: NumEvaluations = 1,
    evaluation_tokens: EvaluationTokens = EVALUATION_TOKENS,
    workers: Workers = None,
    config: ConfigFile = None,
    preset: Preset = None,
    save_dir: ComparisonFolder = None,
    trials_file: TrialsFile = None,
    as_json: JsonOption = False,
) -> None:
    """Compare configurations and test which one learns best.

    All runs get the same text, seeds, and budget. The result is the difference in validation loss
    with a 95 % confidence interval. Two or more finished runs are compared without training.
    """
    if what and len(what) > 1:
        given = {"vary": vary, "arm": arms, "config": config, "preset": preset,
                 "save_dir": save_dir, "trials_file": trials_file}  # fmt: skip
        _compare_finished(what, values | {k: v for k, v in given.items() if v}, as_json)
        return
    corpus = what[0] if what else None
    from descend.api import run_comparison
    from descend.experiments.compare.comparison_trials import plan_comparison
    from descend.experiments.experiment_folder import create_experiment_folder
    from descend.experiments.json_output import comparison_fields
    from descend.report.text.experiment_tables import comparison_text

    text = {} if corpus is None else {"corpus_dir": corpus}
    comparison_arms = _make_arms(values | text, vary or [], arms or [], config, preset)
    plan = plan_comparison(
        comparison_arms, budget_unit=match, budget=budget, seeds=seeds, points=points,  # type: ignore[arg-type]
        evaluation_tokens=evaluation_tokens,
    )  # fmt: skip
    folder = create_experiment_folder(save_dir)
    command = format_typed_command(context, "--save-dir", "--trials-file")
    comparison = run_comparison(
        plan, folder, command=command, workers=workers, console=stderr_console(),
        on_trial=make_trial_writer(trials_file),
    )  # fmt: skip
    print_report(
        "compare", comparison_fields(comparison), lambda: comparison_text(comparison), as_json
    )
    print_status(f"saved in {folder}")


def _compare_finished(names: list[str], given: dict[str, Any], as_json: bool) -> None:
    """Compare the finished runs `names`; refuse options that only a training has."""
    from descend.api.experiments import compare_finished_runs
    from descend.report.text.run_table import finished_text
    from descend.runs.run_list import find_run

    if given:
        raise ConfigError(
            next(iter(given)), "it together with several runs",
            "this option only when configurations are trained",
            "leave it out, or name each run as an --arm to train it again",
        )  # fmt: skip
    comparison = compare_finished_runs([find_run(Path(name)) for name in names])
    print_report("compare", comparison, lambda: finished_text(comparison), as_json)


def _make_arms(
    values: dict[str, Any],
    vary: list[str],
    arms: list[str],
    config: Path | None,
    preset: str | None,
) -> list[ComparisonArm]:
    """Make the named arms, or one from the flags, and vary them."""
    from descend.experiments.compare.arms import make_arms, parse_vary_flags
    from descend.experiments.named_config import NamedConfig, load_named_config

    named = [load_named_config(name, values) for name in arms]
    if not named:
        named = [NamedConfig("base", resolve_flags(values, config, preset).config)]
    elif config or preset:
        raise ConfigError(
            "arm", "--arm together with --config or --preset",
            "either --arm or --config and --preset", "name the file or preset as an --arm too",
        )  # fmt: skip
    return make_arms(named, parse_vary_flags(vary))
