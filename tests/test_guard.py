"""Files from outside are opened only if they are regular files."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend.guard import decode_json, hash_file, open_regular, read_regular

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links and named pipes are POSIX")


def make_device(path: Path) -> None:
    """The device of /dev/zero under another name: it states a length of 0, and never ends."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
        path.open("rb").close()
    except OSError as problem:
        pytest.skip(f"not run: no device can be made and opened here ({problem.strerror})")


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_open_regular_refuses_when_path_is_no_regular_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run.json"
    {"pipe": os.mkfifo, "folder": Path.mkdir, "device": make_device}[kind](path)
    for read in (open_regular, read_regular):
        with pytest.raises(OSError, match="not a regular file"):
            read(path)
    assert hash_file(path) is None


def test_decode_json_refuses_a_number_that_no_float_holds() -> None:
    long = "1" + "0" * 400
    with pytest.raises(msgspec.DecodeError, match="digits"):
        decode_json(f'{{"a": [{long}]}}'.encode(), dict[str, Any])
    text = f'{{"a": "{long} \\" {long}", "b": 1{"0" * 300}}}'
    assert decode_json(text.encode(), dict[str, Any])["b"] == 10**300
