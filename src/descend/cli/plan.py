"""`descend plan`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from descend.cli.clock import command_began
from descend.cli.config_flags import CORPUS_HELP, JsonOption
from descend.cli.output import (
    print_json,
    print_result,
    print_status,
    set_up_logging,
    stderr_console,
)
from descend.errors import ConfigError

if TYPE_CHECKING:
    from descend.planner.make_plan import CorpusPlan
    from descend.runs.run_files import RunSummary

DEFAULT_MINUTES = 10.0


def plan(
    corpus: Annotated[
        str | None,
        typer.Argument(metavar="[CORPUS]", help=CORPUS_HELP),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes", metavar="FLOAT",
            help="Time limit in minutes, from the start to the saved model. "
            "Range: above 0. Default: 10.",
        ),
    ] = None,
    target_bits_per_byte: Annotated[
        float | None,
        typer.Option(
            "--target-bits-per-byte", metavar="FLOAT",
            help="Instead of --minutes: find the shortest run that reaches this validation loss "
            "in bits per byte. Range: above 0.",
        ),
    ] = None,
    max_memory: Annotated[
        float | None,
        typer.Option("--max-memory-gb", metavar="FLOAT", rich_help_panel="Hardware",
                     help="Maximum training memory in GB (10^9 bytes). Range: above 0. "
                     "Default: what is free."),
    ] = None,
    save_dir: Annotated[
        str | None,
        typer.Option("--save-dir", metavar="DIR", help="With --run: output folder of the model."),
    ] = None,
    run: Annotated[
        bool,
        typer.Option("--run", help="Train the planned model and compare it with the prediction."),
    ] = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Choose a model and training configuration for a time limit and predict the result."""
    if minutes is not None and target_bits_per_byte is not None:
        raise ConfigError("target_bits_per_byte", "--target-bits-per-byte and --minutes",
                          "one of the two", "leave one of them out")  # fmt: skip
    from descend.config_sources import resolve_config
    from descend.planner.make_plan import check_bounds, make_corpus_plan

    set_up_logging("info")
    has_limit = minutes is not None or target_bits_per_byte is not None
    budget = minutes if has_limit else DEFAULT_MINUTES
    check_bounds(budget, target_bits_per_byte, max_memory)
    print_status("Benchmarking this machine and analyzing the corpus (up to 30 seconds)…")
    resolved = resolve_config({} if corpus is None else {"corpus_dir": corpus})
    began = None if budget is None else command_began()
    planned = make_corpus_plan(corpus, budget, target_bits_per_byte, max_memory, resolved, began)
    _show(planned, print_status if as_json else print_result)
    plan_fields = planned.as_json()
    if run:
        plan_fields |= {"measured": _train(planned, save_dir, resolved.preset, began)}
    if as_json:
        print_json("plan", plan_fields)


def _show(planned: CorpusPlan, write_line: Callable[[str], None]) -> None:
    from descend.report.text.plan_summary import plan_lines

    for line in plan_lines(planned):
        write_line(line)


def _train(
    planned: CorpusPlan, save_dir: str | None, preset: str, began: float | None
) -> RunSummary:
    from descend.api import train_plan
    from descend.report.text.next_step import choose_step_after_training, format_next_step

    model = train_plan(planned, save_dir, preset, stderr_console(), began)
    summary = model.summary
    step = choose_step_after_training(summary.model_dir, summary, model.info)
    print_status(f"saved in {summary.model_dir}\n{format_next_step(step)}")
    return summary
