"""What the verbs that make several runs share: their flags, and the command that was typed."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

Seeds = Annotated[
    int,
    typer.Option(
        "--num-seeds",
        min=1,
        max=100,
        metavar="INT",
        help="Number of seeds. Runs are paired by seed.",
    ),
]
BudgetUnitOption = Annotated[
    str,
    typer.Option(
        "--budget-unit",
        metavar="UNIT",
        help="Unit of the equal budget: tokens, seconds, steps, or epoch.",
    ),
]
Corpus = Annotated[
    str | None,
    typer.Argument(metavar="[CORPUS]", help="Text to train on. Default: as in `descend train`."),
]
EvaluationTokens = Annotated[
    int,
    typer.Option(
        "--eval-tokens",
        min=1,
        metavar="INT",
        rich_help_panel="Data",
        help="Validation text per evaluation, in tokens of 4 bytes.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, metavar="INT", help="Parallel workers. Default: one per core."
    ),
]
ComparisonFolder = Annotated[
    Path | None,
    typer.Option(
        "--save-dir", metavar="DIR", help="Output folder. Default: comparisons/<unix time>."
    ),
]


def format_typed_command(context: typer.Context, *but: str) -> str:
    """Return the command as it was typed; without `--json`, and without the flags in `but`, each of
    which has a value."""
    command_parts, skip = ["descend"], False
    for word in context.obj or []:
        flag, equals, _ = word.partition("=")
        if not skip and word != "--json" and flag not in but:
            command_parts.append(word)
        skip = not skip and not equals and flag in but
    return shlex.join(command_parts)
