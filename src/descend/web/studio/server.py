"""Starting the studio: an address, a one-time link, and the server."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from descend.errors import RunLockedError, UserError
from descend.runs.atomic_write import disk_error
from descend.runs.lock import hold_lock
from descend.web.address import (
    check_address,
    format_address,
    host_names,
    is_loopback,
    listen,
    make_server,
)
from descend.web.credentials import Credentials
from descend.web.studio.app import make_gated_app
from descend.web.studio.services import make_services
from descend.web.studio.workspace import Workspace

DEFAULT_PORT = 8765
KEY_FILE = "api_key"
MIN_PASSWORD = 8
"""Characters: with five tries a minute, more than a lifetime of guessing."""


def serve_studio(
    folder: Path, host: str, port: int | None, password: str | None,
    on_link: Callable[[str, bool], None],
) -> None:  # fmt: skip
    """Serve the studio over `folder` until it is stopped.

    `on_link` is called with each new link, and whether it is the first. Raises `UserError` for an
    address that cannot be taken or that needs a password.
    """
    check_host(host, password)
    workspace = Workspace(folder)
    workspace.make()
    refusal = RunLockedError(
        str(workspace.root), "another studio that works in it", "a folder of its own for a studio",
        "use that studio, or name another folder",
    )  # fmt: skip
    with hold_lock(workspace.hidden, refusal):  # two would start the same job of the queue
        _serve_workspace(workspace, host, port, password, on_link)


def _serve_workspace(
    workspace: Workspace, host: str, port: int | None, password: str | None,
    on_link: Callable[[str, bool], None],
) -> None:  # fmt: skip
    credentials = Credentials(password)
    services = make_services(workspace, credentials)
    listening = listen(host, [DEFAULT_PORT, 0] if port is None else [port])
    number = listening.getsockname()[1]
    address = format_address(host, number)
    key_file = workspace.hidden / KEY_FILE
    write_private(key_file, credentials.key)

    def link(token: str) -> str:
        return f"http://{address}/?token={token}"

    credentials.on_redeem = lambda token: on_link(link(token), False)
    app = make_gated_app(services, host_names(host, number), f"descend_studio_{number}")
    server = make_server(app, lambda: on_link(link(credentials.token), True))
    try:
        server.run(sockets=[listening])
    finally:
        key_file.unlink(missing_ok=True)


def check_host(host: str, password: str | None) -> None:
    """Raise `UserError` for an address that others reach, without a password; for a wildcard."""
    check_address(host)
    if not is_loopback(host) and (password is None or len(password) < MIN_PASSWORD):
        raise UserError(
            "--host", f"{host}, which other machines reach, without a password",
            f"a password of {MIN_PASSWORD} characters or more",
            "set DESCEND_STUDIO_PASSWORD, or leave --host out",
        )  # fmt: skip


def write_private(file: Path, content: str) -> None:
    """Write `file` so that only its owner can read it, at no instant another user."""
    aside = file.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
            new.write(content.encode())
        aside.replace(file)
    except OSError as problem:
        raise disk_error(file, problem) from None
    finally:
        aside.unlink(missing_ok=True)
