"""What train, continue and resume share: show the run, then hand over its result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from descend.cli.output import (
    print_json,
    print_result,
    print_status,
    set_up_logging,
    stderr_console,
)
from descend.launch_environment import is_follower
from descend.runs.run_files import has_summary

if TYPE_CHECKING:
    from rich.console import Console

    from descend.api import Model


def run_and_report(
    action: Callable[[Console], Model],
    as_json: bool,
    log_level: str = "info",
    verbose: bool = False,
    base: Path | None = None,
) -> None:
    """Do `action` while drawing on standard error, then print what came of it, beside the run
    `base` that its settings are from.

    A process that torchrun started for another one only trains along.
    """
    if is_follower():
        from descend.training.follower import follow_run

        follow_run()
        return
    from descend.experiments.compare.finished_runs import compare_finished
    from descend.report.text.experiment_summary import compare_with_base
    from descend.report.text.next_step import choose_step_after_training, format_next_step
    from descend.report.text.run_summary import format_run_details, format_run_end

    set_up_logging(log_level)
    model = action(stderr_console())
    if as_json:
        print_json("train", model.summary)
    else:
        if verbose:
            print_result(format_run_details(model.summary) + "\n")
        print_result(format_run_end(model.summary))
        if base is not None and has_summary(base):
            comparison = compare_finished([base, Path(model.summary.model_dir)])
            print_result(compare_with_base(comparison))
        step = choose_step_after_training(model.summary.model_dir, model.summary, model.info)
        print_status(format_next_step(step))
