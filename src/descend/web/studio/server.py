"""Starting the studio: an address, a one-time link, and uvicorn."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from descend.errors import UserError
from descend.runs.atomic_write import write_file_atomic
from descend.web.credentials import Credentials
from descend.web.studio.app import make_gated_app
from descend.web.studio.services import make_services
from descend.web.studio.workspace import Workspace

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765
KEY_FILE = "api_key"
MIN_PASSWORD = 8
"""Characters: with five tries a minute, more than a lifetime of guessing."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
    credentials = Credentials(password)
    services = make_services(workspace, credentials)
    listening = listen(host, port)
    number = listening.getsockname()[1]
    address = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
    hosts = frozenset({address, f"localhost:{number}"} if is_loopback(host) else {address})
    key_file = workspace.hidden / KEY_FILE
    write_private(key_file, credentials.key)

    def link(token: str) -> str:
        return f"http://{address}/?token={token}"

    credentials.on_redeem = lambda token: on_link(link(token), False)
    app = make_gated_app(services, hosts, f"descend_studio_{number}")
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, ws="none", server_header=False,
        date_header=False, timeout_graceful_shutdown=1, proxy_headers=False,
    )  # fmt: skip
    server = _Server(config, lambda: on_link(link(credentials.token), True))
    try:
        server.run(sockets=[listening])
    finally:
        key_file.unlink(missing_ok=True)


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_start()


def check_host(host: str, password: str | None) -> None:
    """Raise `UserError` for an address that others reach, without a password; for a wildcard."""
    if host in ("0.0.0.0", "::", ""):
        raise UserError(
            "--host", f"{host or 'nothing'}, which stands for every address",
            "the address that others will type", "name the address of this machine",
        )  # fmt: skip
    if not is_loopback(host) and (password is None or len(password) < MIN_PASSWORD):
        raise UserError(
            "--host", f"{host}, which other machines reach, without a password",
            f"a password of {MIN_PASSWORD} characters or more",
            "set DESCEND_STUDIO_PASSWORD, or leave --host out",
        )  # fmt: skip


def listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens at `host`: at `port`, or at the default one or a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    problem: OSError | None = None
    for number in [DEFAULT_PORT, 0] if port is None else [port]:
        listening = socket.socket(family)
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, number))
            listening.listen(128)
            return listening
        except OSError as error:
            listening.close()
            problem = error
    reason = problem.strerror if problem else ""
    raise UserError(
        "--port", f"{host}:{port or DEFAULT_PORT}, which cannot be taken ({reason})",
        "an address that is free", "choose another --port, or leave it out",
    ) from None  # fmt: skip


def write_private(file: Path, content: str) -> None:
    """Write `file` so that only its owner can read it."""
    write_file_atomic(file, content.encode())
    file.chmod(0o600)
