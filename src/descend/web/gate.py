"""The one gate in front of every route: who may ask, for what host, and how much.

A pure ASGI application around another. What is not allowed by a rule here never reaches the other:
requests for another host (DNS rebinding), from another origin (cross-site requests), without a
credential, of another method, or with a body over its limit, and every websocket.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from descend.web.credentials import Credentials

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})
SAFE_METHODS = frozenset({"GET", "HEAD"})

MAX_PATH_BYTES, MAX_QUERY_BYTES = 1024, 4096
"""Bytes of a path and of a query: ten times the longest that the page asks for."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Content-Security-Policy: own files alone, and no inline script or style."""

HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)

# The path as it was typed: no way up, no backslash, no empty part, no hidden slash or control.
_BAD_PATH = re.compile(rb"\\|//|(^|/)\.\.?(/|$)|%2f|%5c|%00|[\x00-\x1f\x7f]", re.IGNORECASE)
_DOT_PART = re.compile(r"(^|/)\.\.?(/|$)")


@dataclass(frozen=True)
class GateRules:
    """What the gate allows."""

    hosts: frozenset[str]
    """Values of the Host header, with the port."""
    credentials: Credentials
    cookie: str | None
    """Name of the session cookie; None where only the key of `credentials` opens."""
    public: frozenset[tuple[str, str]]
    """Methods and paths that need no credential."""
    door: str | None
    """Path, among `public`, that who has no session is sent to from `/`."""
    max_body_bytes: Callable[[str, str], int]
    """Bytes that a request of this method and path may carry."""
    sign_in: str = "Open the link that the terminal shows."
    """What to do without a credential."""

    @property
    def origins(self) -> frozenset[str]:
        """Values of the Origin header that are this server's own."""
        return frozenset(f"http://{host}" for host in self.hosts)


class RequestRefusedError(Exception):
    """A request that stops at the gate, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Gate:
    """An ASGI application that lets through to `app` what `rules` allow."""

    def __init__(self, app: App, rules: GateRules) -> None:
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no route takes a websocket
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        response = _Response(send)
        try:
            self._check_address(scope)
            self._check_origin(scope)
            if await self._redeem(scope, response.send):
                return
            self._check_credential(scope)
            limit = self.rules.max_body_bytes(scope["method"], scope["path"])
            self._check_length(scope, limit)
            await self.app(scope, _limited(receive, limit, response), response.send)
        except RequestRefusedError as refusal:
            if response.is_refused:  # the framework answered the error, and ours went out for it
                return
            if response.started:
                raise
            await _answer(response.send, refusal.status, refusal.message)

    def _check_address(self, scope: Scope) -> None:
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or hosts[0] not in self.rules.hosts:
            raise RequestRefusedError(421, "This address is not one of this server.")
        if scope["method"] not in METHODS:
            raise RequestRefusedError(405, "This method is not used here.")
        raw = scope.get("raw_path") or scope["path"].encode()
        too_long = len(raw) > MAX_PATH_BYTES or len(scope["query_string"]) > MAX_QUERY_BYTES
        if too_long or _BAD_PATH.search(raw) or _DOT_PART.search(scope["path"]):
            raise RequestRefusedError(400, "This path is not a plain one.")

    def _check_origin(self, scope: Scope) -> None:
        """Refuse a page of another origin; to change something, ours must be named."""
        origins, sites = _values(scope, b"origin"), _values(scope, b"sec-fetch-site")
        if origins and (len(origins) != 1 or origins[0] not in self.rules.origins):
            raise RequestRefusedError(403, "This request comes from another page.")
        if sites and any(site not in ("same-origin", "none") for site in sites):
            raise RequestRefusedError(
                403, "This request comes from another page. Copy the link into the address bar."
            )
        changes = scope["method"] not in SAFE_METHODS
        if self.rules.cookie is None:
            return  # a browser adds no key by itself, and without one nothing is answered
        if changes and not origins and not self._has_key(scope):
            raise RequestRefusedError(403, "This request names no origin.")

    def _has_key(self, scope: Scope) -> bool:
        values = _values(scope, b"authorization")
        return len(values) == 1 and self.rules.credentials.is_key(values[0])

    def _check_credential(self, scope: Scope) -> None:
        if (scope["method"], scope["path"]) in self.rules.public:
            return
        if self._has_key(scope) or self.has_session(scope):
            return
        if scope["path"] == "/" and self.rules.door is not None:
            raise RequestRefusedError(303, self.rules.door)
        raise RequestRefusedError(401, self.rules.sign_in)

    def has_session(self, scope: Scope) -> bool:
        """Return whether the request carries the cookie of a session."""
        if self.rules.cookie is None:
            return False
        cookies = [part.strip() for value in _values(scope, b"cookie") for part in value.split(";")]
        start = f"{self.rules.cookie}="
        sessions = [c.removeprefix(start) for c in cookies if c.startswith(start)]
        return len(sessions) == 1 and self.rules.credentials.is_session(sessions[0])

    async def _redeem(self, scope: Scope, send: Send) -> bool:
        """Exchange the token in `/?token=…` for a cookie; whether there was one."""
        cookie = self.rules.cookie
        if cookie is None or scope["path"] != "/" or scope["method"] != "GET":
            return False
        tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        if tokens is None:
            return False
        session = self.rules.credentials.redeem(tokens[0])
        if session is None and not self.has_session(scope):
            return False  # a used link leads to the door, which says which one opens
        headers = [(b"location", b"/"), (b"cache-control", b"no-store")]
        if session is not None:
            headers.append((b"set-cookie", session_cookie(cookie, session)))
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return True

    @staticmethod
    def _check_length(scope: Scope, limit: int) -> None:
        for value in _values(scope, b"content-length"):
            if not value.isdecimal() or int(value) > limit:
                raise RequestRefusedError(413, f"This is more than {limit:,} bytes.")


def session_cookie(name: str, session: str) -> bytes:
    """Return the Set-Cookie value of a session; it ends with the browser."""
    return f"{name}={session}; Path=/; HttpOnly; SameSite=Strict".encode()


def _values(scope: Scope, name: bytes) -> list[str]:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1") for key, value in headers if key == name]


def _limited(receive: Receive, limit: int, response: _Response) -> Receive:
    """Return `receive`, which raises once more than `limit` bytes came, whatever was announced."""
    total = 0

    async def receive_limited() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > limit:
            # Frameworks make an answer of their own of an error here: ours is sent in its place.
            response.refusal = RequestRefusedError(413, f"This is more than {limit:,} bytes.")
            raise response.refusal
        return message

    return receive_limited


class _Response:
    """Adds the headers of every answer, and knows whether one has begun."""

    def __init__(self, send: Send) -> None:
        self._send, self.started, self.is_refused = send, False, False
        self.refusal: RequestRefusedError | None = None
        """Raised while the body was read: no other answer goes out."""

    async def send(self, message: Message) -> None:
        if self.refusal is not None and not self.started:
            self.started, self.is_refused, refusal = True, True, self.refusal
            await _answer(self._send_with_headers, refusal.status, refusal.message)
            return
        if self.refusal is not None:
            return
        await self._send_with_headers(message)

    async def _send_with_headers(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            own = {name for name, _ in HEADERS}
            given = [(k, v) for k, v in message.get("headers", []) if k.lower() not in own]
            if not any(k.lower() == b"cache-control" for k, _ in given):
                given.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*given, *HEADERS]}
        await self._send(message)


async def _answer(send: Send, status: int, text: str) -> None:
    if status == 303:
        headers = [(b"location", text.encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    body = json.dumps({"error": {"message": text}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
