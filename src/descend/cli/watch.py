"""What train, continue and resume share: show the run, then hand over its outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from descend.cli.output import result, result_json, say, set_up_logging, talk

if TYPE_CHECKING:
    from rich.console import Console

    from descend.api import Model


def carry_through(
    action: Callable[[Console], Model],
    as_json: bool,
    log_level: str = "info",
    verbose: bool = False,
) -> None:
    """Do `action` while drawing on standard error, then print what came of it."""
    from descend.report.words import next_commands, outcome, outcome_in_detail

    set_up_logging(log_level)
    model = action(talk())
    if as_json:
        result_json(model.summary)
    else:
        if verbose:
            result(outcome_in_detail(model.summary) + "\n")
        result(outcome(model.summary))
        say(next_commands(model.summary))
