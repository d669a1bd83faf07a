"""Where a server listens: an address that is checked, a port that is free, and uvicorn."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn

from descend.errors import UserError

BACKLOG = 1024
"""Connections that wait to be accepted: as many as clients may begin at once."""


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def format_address(host: str, port: int) -> str:
    """Return the address as a URL and the Host header spell it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_names(host: str, port: int) -> frozenset[str]:
    """Return the values of the Host header that mean this server."""
    address = format_address(host, port)
    return frozenset({address, f"localhost:{port}"} if is_loopback(host) else {address})


def check_address(host: str) -> None:
    """Raise `UserError` for a wildcard, for which no Host header can be checked."""
    if host in ("0.0.0.0", "::", ""):
        raise UserError(
            "--host", f"{host or 'nothing'}, which stands for every address",
            "the address that others will type", "name the address of this machine",
        )  # fmt: skip


def listen(host: str, ports: Sequence[int]) -> socket.socket:
    """Return a socket that listens at `host`, at the first of `ports` that is free; 0 is any."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    problem: OSError | None = None
    for number in ports:
        listening = socket.socket(family)
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, number))
            listening.listen(BACKLOG)
            return listening
        except OSError as error:
            listening.close()
            problem = error
    reason = problem.strerror if problem else ""
    raise UserError(
        "--port", f"{host}:{ports[0]}, which cannot be taken ({reason})",
        "an address that is free", "choose another --port, or leave it out",
    ) from None  # fmt: skip


def make_server(app: Any, on_start: Callable[[], None]) -> uvicorn.Server:
    """Return a server of the ASGI application `app`; `on_start` is called once it answers."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, ws="none", server_header=False,
        date_header=False, timeout_graceful_shutdown=1, proxy_headers=False, backlog=BACKLOG,
    )  # fmt: skip
    logging.getLogger("uvicorn.error").addFilter(_is_no_cut)
    return _Server(config, on_start)


def _is_no_cut(record: logging.LogRecord) -> bool:
    """Return whether `record` tells more than that the end of the server cut off a request."""
    is_cancelled = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not is_cancelled and "timeout graceful shutdown" not in record.getMessage()


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
