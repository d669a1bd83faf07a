"""`descend plan`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from descend.cli.clock import command_began
from descend.cli.config_flags import JsonOption
from descend.cli.output import (
    print_json,
    print_result,
    print_status,
    set_up_logging,
    stderr_console,
)
from descend.errors import ConfigError

if TYPE_CHECKING:
    from descend.config import RunConfig
    from descend.planner.make_plan import CorpusPlan
    from descend.runs.run_files import RunSummary

DEFAULT_MINUTES = 10.0


def plan(
    corpus: Annotated[
        str | None,
        typer.Argument(metavar="[CORPUS]", help="A folder, a file, - or an embedded corpus."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes", metavar="X",
            help="From the start of the command to the saved model.  [default: 10]",
        ),
    ] = None,
    target_loss: Annotated[
        float | None,
        typer.Option(
            "--target-loss", metavar="BITS",
            help="Rather: the shortest time to so many bits per byte of held-out text.",
        ),
    ] = None,
    max_memory: Annotated[
        float | None,
        typer.Option("--max-memory", metavar="GB",
                     help="Most memory that training may take, in GB (10^9 bytes)."),
    ] = None,
    save_dir: Annotated[
        str | None,
        typer.Option("--save-dir", help="Folder of the model, with --run."),
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Train it, and compare.")] = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Choose what to train on a text in a given time, and say what to expect.

    descend plan my/texts --minutes 10

    descend plan my/texts --minutes 10 --run
    """
    if minutes is not None and target_loss is not None:
        raise ConfigError("target_loss", "--target-loss beside --minutes", "one of the two",
                          "leave one of them out")  # fmt: skip
    from descend.config_sources import resolve_config
    from descend.planner.make_plan import check_bounds, make_corpus_plan, plan_config

    set_up_logging("info")
    budget_minutes = DEFAULT_MINUTES if minutes is None and target_loss is None else minutes
    check_bounds(budget_minutes, target_loss, max_memory)
    print_status("measuring this machine and the text: a few seconds, half a minute for a long run")
    resolved = resolve_config({} if corpus is None else {"corpus_dir": corpus})
    began = None if budget_minutes is None else command_began()
    planned = make_corpus_plan(corpus, budget_minutes, target_loss, max_memory, resolved, began)
    _show(planned, print_status if as_json else print_result)
    plan_fields = planned.as_json()
    if run:
        config = plan_config(planned, save_dir)
        plan_fields |= {"measured": _train(planned, config, resolved.preset, began)}
    if as_json:
        print_json(plan_fields)


def _show(planned: CorpusPlan, write_line: Callable[[str], None]) -> None:
    from descend.report.text.plan import plan_lines

    for line in plan_lines(planned.plan, planned.machine, planned.corpus):
        write_line(line)


def _train(planned: CorpusPlan, config: RunConfig, preset: str, began: float | None) -> RunSummary:
    from descend.api import train_planned
    from descend.report.text.run_summary import next_commands

    summary = train_planned(planned, config, preset, stderr_console(), began).summary
    print_status(f"saved in {summary.model_dir}\n{next_commands(summary)}")
    return summary
