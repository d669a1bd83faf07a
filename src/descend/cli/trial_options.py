"""What the verbs that make several runs share: their flags, and the command that was typed."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

Seeds = Annotated[
    int, typer.Option("--seeds", min=1, max=100, help="Runs of each, paired by seed.")
]
BudgetUnitOption = Annotated[
    str, typer.Option("--match", metavar="tokens|seconds|steps|epoch", help="What is equal.")
]
Corpus = Annotated[
    str | None, typer.Argument(metavar="[CORPUS]", help="The text; left open: as in train.")
]
EvaluationTokens = Annotated[
    int,
    typer.Option(
        "--evaluation-tokens",
        min=1,
        metavar="N",
        help="Held-out text to judge on, at 4 bytes each.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, metavar="N", help="Runs at a time; left open: one a core."),
]


def format_typed_command(context: typer.Context, *but: str) -> str:
    """The command as it was typed; without `--json`, and without the flags in `but`, each of which
    has a value."""
    command_parts, skip = ["descend"], False
    for word in context.obj or []:
        flag, equals, _ = word.partition("=")
        if not skip and word != "--json" and flag not in but:
            command_parts.append(word)
        skip = not skip and not equals and flag in but
    return shlex.join(command_parts)
