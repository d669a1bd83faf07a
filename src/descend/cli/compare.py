"""`descend compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from descend.cli.flags import AsJson, ConfigFile, Preset, settings_from
from descend.cli.output import result, result_json, say, talk
from descend.cli.series import JudgedOn, Match, Seeds, Workers, typed
from descend.errors import ConfigError
from descend.trials.arms import EVALUATION_TOKENS

if TYPE_CHECKING:
    from descend.lab.arms import Contestant


What = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CORPUS | RUN RUN…]",
        help="The text to train on; or finished runs, which are compared as they are.",
    ),
]
Vary = Annotated[
    list[str] | None,
    typer.Option("--vary", metavar="KEY=A,B", help="Values to try; several keys: a grid."),
]
ComparedArms = Annotated[
    list[str] | None,
    typer.Option("--arm", metavar="NAME", help="A preset, file or run to compare; repeatable."),
]


def compare(
    context: typer.Context,
    values: dict[str, Any],
    what: What = None,
    vary: Vary = None,
    arm: ComparedArms = None,
    match: Match = "tokens",
    budget: Annotated[
        float | None,
        typer.Option("--budget", help="So many of it; left open: what the first one needs."),
    ] = None,
    seeds: Seeds = 3,
    points: Annotated[
        int, typer.Option("--points", min=1, help="Judgments along each run, for curves.")
    ] = 1,
    evaluation_tokens: JudgedOn = EVALUATION_TOKENS,
    workers: Workers = None,
    config: ConfigFile = None,
    preset: Preset = None,
    save_dir: Annotated[
        Path | None, typer.Option("--save-dir", help="Left open: comparisons/<unix time>.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare configurations: which learns best, and is it sure?

    descend compare my/texts --vary embed_dim=128,256 --vary batch_size=8,32

    Finished runs, without training:

    descend compare models/first models/second
    """
    if what and len(what) > 1:
        given = {"vary": vary, "arm": arm, "config": config, "preset": preset, "save_dir": save_dir}
        _compare_finished(what, values | {k: v for k, v in given.items() if v}, as_json)
        return
    corpus = what[0] if what else None
    from descend.api import make_comparison
    from descend.lab.compare import plan_comparison
    from descend.lab.folder import new_experiment_folder
    from descend.report.experiments import comparison_text

    folder = new_experiment_folder(save_dir)
    text = {} if corpus is None else {"corpus_dir": corpus}
    chosen = _contestants(values | text, vary or [], arm or [], config, preset)
    plan = plan_comparison(
        chosen, match=match, budget=budget, seeds=seeds, points=points,  # type: ignore[arg-type]
        evaluation_tokens=evaluation_tokens,
    )  # fmt: skip
    found = make_comparison(
        plan, folder, command=typed(context, "--save-dir"), workers=workers, console=talk()
    )
    if as_json:
        result_json(found)
    else:
        result(comparison_text(found))
    say(f"saved in {folder}")


def _compare_finished(names: list[str], given: dict[str, Any], as_json: bool) -> None:
    """The finished runs `names` side by side; flags of trainings are refused."""
    from descend.lab.finished import compare_finished
    from descend.report.listing import finished_text
    from descend.runs.listing import find_run

    if given:
        raise ConfigError(
            next(iter(given)), "a flag for trainings beside several runs", "runs alone",
            "leave it out, or name each run as an --arm to train them again",
        )  # fmt: skip
    found = compare_finished([find_run(Path(name)) for name in names])
    if as_json:
        result_json(found)
    else:
        result(finished_text(found))


def _contestants(
    values: dict[str, Any],
    vary: list[str],
    arm: list[str],
    config: Path | None,
    preset: str | None,
) -> list[Contestant]:
    """The named arms, or one made by the flags, with all that is varied."""
    from descend.lab.arms import contestants, parse_vary
    from descend.lab.sources import Named, named_config

    named = [named_config(name, values) for name in arm]
    if not named:
        named = [Named("base", settings_from(values, config, preset).config)]
    elif config or preset:
        raise ConfigError(
            "arm", "--arm beside --config or --preset", "one way to name configurations",
            "name the file or preset as an --arm too",
        )  # fmt: skip
    return contestants(named, parse_vary(vary))
