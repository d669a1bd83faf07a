"""`descend studio`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from descend.cli.output import print_status
from descend.errors import MissingDependencyError

PASSWORD_VARIABLE = "DESCEND_STUDIO_PASSWORD"


def studio(
    folder: Annotated[
        Path,
        typer.Argument(metavar="[FOLDER]", help="Folder to work in. Default: the current one."),
    ] = Path(),
    port: Annotated[
        int | None,
        typer.Option(metavar="INT", min=1, max=65535, help="Port. Default: 8765, or a free one."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen at. One that other machines reach needs a password: set "
            f"{PASSWORD_VARIABLE}, or type it when asked.",
        ),
    ] = "127.0.0.1",
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Show the link and open no browser.")
    ] = False,
) -> None:
    """Train, watch, compare, and try models in the browser.

    The page is for this machine only. Training goes on when the browser or the studio is closed.
    """
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise MissingDependencyError(
            "studio", "no FastAPI or uvicorn", "the packages of the extra `studio`",
            "run `pip install 'descend[studio]'`",
        ) from None  # fmt: skip
    from descend.web.address import is_loopback
    from descend.web.studio.server import serve_studio

    password = os.environ.get(PASSWORD_VARIABLE)
    if password is None and not is_loopback(host) and sys.stdin.isatty():
        password = typer.prompt("Password for the studio", hide_input=True, err=True)

    def show_link(link: str, is_first: bool) -> None:
        if not is_first:
            print_status(f"Another browser: {link}")
            return
        print_status(f"The studio is open at {link}\nStop it with Ctrl-C. Training goes on.")
        if not no_browser and is_loopback(host):
            import webbrowser

            webbrowser.open(link)

    serve_studio(folder, host, port, password, show_link)
