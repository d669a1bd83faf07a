"""`descend explain`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption, named_run
from descend.cli.output import print_json, print_result
from descend.guard import make_visible


def explain(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]",
            help="Name of a setting, metric, cause, or bug. Without it: list all pages.",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Include the values of this run on the page.",
            callback=named_run,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Explain a setting, metric, cause, or bug on one page."""
    from descend.handbook.explanation import explain_page, list_pages

    page = explain_page(" ".join(what), run) if what else list_pages(run)
    if as_json:
        print_json("explain", page.data)
    elif sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(make_visible(page.text)))
    else:
        print_result(page.text)
