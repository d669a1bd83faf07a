"""Records that only this user on this machine can have written.

A folder may be a stranger's, and a job in it names a command to run. So each job carries a
message authentication code (HMAC-SHA256) over its content and its folder, by a key in the user's
own cache. A job without a right one is never obeyed.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from descend.data.cache_dir import cache_dir
from descend.guard import name_writer, read_regular

KEY_BYTES = 32
KEY_NAME = "studio_key"


def load_key() -> bytes:
    """Return the key of this user, made at first; one of this process alone where no cache is
    writable."""
    file = cache_dir() / KEY_NAME
    try:
        cache_dir().mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
            new.write(secrets.token_bytes(KEY_BYTES))
    except FileExistsError:
        pass
    except OSError:
        return secrets.token_bytes(KEY_BYTES)
    try:
        key = read_regular(file)
    except OSError:
        return secrets.token_bytes(KEY_BYTES)
    return key if len(key) == KEY_BYTES else _replace_key(file)


def _replace_key(file: Path) -> bytes:
    """Return a new key in the place of a damaged one, by which nothing can be checked any more."""
    key = secrets.token_bytes(KEY_BYTES)
    aside = file.with_name(f".{file.name}.{name_writer()}.partial")
    with suppress(OSError):
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
            new.write(key)
        aside.replace(file)
    return key


def sign(content: bytes, folder: Path, key: bytes) -> bytes:
    """Put the code of `content`, a record of `folder`, before it."""
    return _code(content, folder, key) + b"\n" + content


def open_signed(signed: bytes, folder: Path, key: bytes) -> bytes | None:
    """Return the content of a signed record; None if its code is another."""
    code, _, content = signed.partition(b"\n")
    return content if hmac.compare_digest(code, _code(content, folder, key)) else None


def _code(content: bytes, folder: Path, key: bytes) -> bytes:
    message = os.fsencode(folder) + b"\0" + content
    return hmac.new(key, message, hashlib.sha256).hexdigest().encode()
