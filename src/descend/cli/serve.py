"""`descend serve`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from descend.cli.generate import ModelFolder
from descend.cli.output import print_status
from descend.errors import MissingDependencyError

KEY_VARIABLE = "DESCEND_API_KEY"


def serve(
    model: ModelFolder,
    port: Annotated[
        int | None,
        typer.Option(metavar="INT", min=1, max=65535, help="Port. Default: 8000, or a free one."),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen at. Traffic is not encrypted.")
    ] = "127.0.0.1",
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Device: cpu, cuda, mps, or auto.")
    ] = "auto",
    max_batch: Annotated[
        int,
        typer.Option("--max-batch", metavar="INT", min=1, help="Maximum number of texts at once."),
    ] = 64,
) -> None:
    """Serve a model over HTTP, with an OpenAI-compatible interface.

    The paths are /v1/completions, /v1/chat/completions, and /v1/models. A client needs the key
    that the terminal shows. DESCEND_API_KEY sets it.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise MissingDependencyError(
            "serve", "no Starlette or uvicorn", "the packages of the extra `serve`",
            "run `pip install 'descend[serve]'`",
        ) from None  # fmt: skip
    from descend.web.serve.server import serve_model

    def show(url: str, name: str, key: str) -> None:
        print_status(
            f"Serving {name}. Stop it with Ctrl-C.\n"
            f"export OPENAI_BASE_URL={url}\nexport OPENAI_API_KEY={key}"
        )

    serve_model(
        model, host, port, device=device, key=os.environ.get(KEY_VARIABLE) or None,
        max_batch=max_batch, on_start=show,
    )  # fmt: skip
