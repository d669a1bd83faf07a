"""The version in a record: one that a newer descend wrote may mean something else by its fields."""

from __future__ import annotations

from pathlib import Path

import msgspec

from descend.errors import RunFolderError
from descend.guard import decode_json

_KEYS = ("schema", "format")


class _Version(msgspec.Struct):
    schema: int = 0
    format: int = 0


def check_version(file: Path, content: bytes, kind: type[msgspec.Struct]) -> None:
    """Raise `RunFolderError` if `content` has a higher `schema` or `format` than `kind`.

    A damaged record passes: its reader says what is wrong with it.
    """
    try:
        version = decode_json(content, _Version)
    except msgspec.DecodeError:
        return
    for field in msgspec.structs.fields(kind):
        if field.name in _KEYS and getattr(version, field.name) > field.default:
            raise RunFolderError(
                str(file), f"a record of {field.name} {getattr(version, field.name)}",
                f"at most {field.default}", "read it with the newer descend that wrote it",
            )  # fmt: skip
