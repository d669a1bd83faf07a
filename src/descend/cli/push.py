"""`descend push`."""

from __future__ import annotations

from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption
from descend.cli.generate import ModelFolder
from descend.cli.output import print_report


def push(
    model: ModelFolder,
    repository: Annotated[
        str, typer.Argument(metavar="NAME/MODEL", help="The repository on the hub.")
    ],
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Upload a model to the Hugging Face hub, from a run or an exported folder.

    Only the model, its tokenizer, and its card are uploaded. A new repository is private.
    """
    from descend.interop.hub import push_model

    pushed = push_model(model, repository, private=not public)
    print_report("push", pushed, lambda: f"{len(pushed.files)} files are at {pushed.url}", as_json)
