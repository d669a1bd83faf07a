"""Starting the server of a model: an address, a key, and the engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from descend.api import load
from descend.errors import UserError
from descend.runs.run_files import weights_path
from descend.web.address import check_address, format_address, host_names, listen, make_server
from descend.web.credentials import Credentials
from descend.web.serve.app import ServedModel, make_gated_app
from descend.web.serve.engine import MAX_ROWS, Engine

DEFAULT_PORT = 8000
MIN_KEY = 16
"""Characters of a key that is set by hand."""


def serve_model(
    folder: Path, host: str = "127.0.0.1", port: int | None = None, *, device: str = "cpu",
    key: str | None = None, max_batch: int = MAX_ROWS,
    on_start: Callable[[str, str, str], None] = lambda *_: None,
) -> None:  # fmt: skip
    """Serve the model in `folder` until the server is stopped.

    `on_start` is called with the base URL, the name of the model, and the key. Raises `UserError`
    for an address that cannot be taken and for a short key, `RunFolderError` for the folder.
    """
    check_address(host)
    if key is not None and len(key) < MIN_KEY:
        raise UserError(
            "DESCEND_API_KEY", f"{len(key)} characters", f"at least {MIN_KEY} characters",
            "set a longer key, or leave it out for a new one",
        )  # fmt: skip
    model = load(folder, device)
    listening = listen(host, [DEFAULT_PORT, 0] if port is None else [port])
    number = listening.getsockname()[1]
    name, context = folder.resolve().name, model.trained_context
    created = int(weights_path(folder).stat().st_mtime)
    engine = Engine(model.network, model.tokenizer, context, max_batch)
    credentials = Credentials(key=key)
    app = make_gated_app(
        engine, ServedModel(name, model.tokenizer, context, created), credentials,
        host_names(host, number),
    )  # fmt: skip
    url = f"http://{format_address(host, number)}/v1"
    make_server(app, lambda: on_start(url, name, credentials.key)).run(sockets=[listening])
