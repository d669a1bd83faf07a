"""Who may ask: one-time tokens, the sessions they are exchanged for, a key for scripts, a password.

All are made anew at each start. Comparisons take the same time whatever is wrong.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

TOKEN_BYTES = 32

MAX_ATTEMPTS, ATTEMPT_SECONDS = 5, 60.0
"""Wrong passwords in so many seconds, after which none is looked at until they have passed."""

MAX_SESSIONS = 200
"""Sessions at once: a class and its teacher several times over. The oldest one ends first."""


class Credentials:
    """What opens this start of a server; `on_redeem` is called with the next one-time token.

    Without a `key` there is a new one.
    """

    def __init__(self, password: str | None = None, key: str | None = None) -> None:
        self.key = secrets.token_urlsafe(TOKEN_BYTES) if key is None else key
        """For scripts: `Authorization: Bearer <key>`."""
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        """Exchanged once; then there is another."""
        self.on_redeem: Callable[[str], None] = lambda _: None
        self._sessions: dict[bytes, None] = {}
        self._salt = secrets.token_bytes(16)
        self._password = None if password is None else self._hash_password(password)
        self._attempts: list[float] = []

    @property
    def has_password(self) -> bool:
        """Whether a password opens it too."""
        return self._password is not None

    def redeem(self, token: str) -> str | None:
        """Return a new session for the one-time token; None if it is not the current one."""
        if not _equal(token, self.token):
            return None
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self.on_redeem(self.token)
        return self._new_session()

    def log_in(self, password: str) -> str | None:
        """Return a new session for the password; None if it is wrong, or after too many wrong
        ones."""
        now = time.monotonic()
        self._attempts = [t for t in self._attempts if now - t < ATTEMPT_SECONDS]
        if self._password is None or len(self._attempts) >= MAX_ATTEMPTS:
            return None
        if not hmac.compare_digest(self._hash_password(password), self._password):
            self._attempts.append(now)
            return None
        return self._new_session()

    def is_session(self, session: str) -> bool:
        """Return whether `session` is one of this start."""
        return _digest(session) in self._sessions

    def is_key(self, authorization: str) -> bool:
        """Return whether the value of an Authorization header carries the key."""
        return _equal(authorization, f"Bearer {self.key}")

    def _new_session(self) -> str:
        session = secrets.token_urlsafe(TOKEN_BYTES)
        self._sessions[_digest(session)] = None
        while len(self._sessions) > MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return session

    def _hash_password(self, password: str) -> bytes:
        return hashlib.scrypt(password.encode(), salt=self._salt, n=2**14, r=8, p=1)


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()


def _equal(first: str, second: str) -> bool:
    return hmac.compare_digest(first.encode(), second.encode())
