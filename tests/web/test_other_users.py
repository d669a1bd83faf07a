"""Another user of the machine gets nothing: no file, no key in a process list, no open port."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from descend.errors import RunFolderError
from descend.web.studio.server import write_private
from descend.web.studio.workspace import Workspace

from .studio_server import Studios

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def listening_inodes() -> dict[int, str]:
    """Address (hex, with port) of each listening TCP socket of this machine, by inode."""
    addresses = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":  # TCP_LISTEN
                addresses[int(fields[9])] = fields[1]
    return addresses


def sockets_of(process: int) -> set[int]:
    """Inodes of the sockets that a process holds."""
    links = [os.readlink(f"/proc/{process}/fd/{fd}") for fd in os.listdir(f"/proc/{process}/fd")]
    return {int(link[8:-1]) for link in links if link.startswith("socket:[")}


def test_studio_leaves_nothing_to_other_users(studios: Studios, own_folder: Path) -> None:
    studio = studios.start(own_folder, is_forked=False)
    hidden = studio.folder / ".studio"
    assert stat.S_IMODE(hidden.stat().st_mode) == 0o700
    assert stat.S_IMODE((hidden / "api_key").stat().st_mode) == 0o600
    process = studio.process.pid
    command_line = Path(f"/proc/{process}/cmdline").read_bytes()
    assert studio.key.encode() not in command_line
    assert studio.link.rpartition("=")[2].encode() not in command_line
    port = int(studio.address.rpartition(":")[2])
    listening = listening_inodes()
    own = {listening[inode] for inode in sockets_of(process) if inode in listening}
    assert own == {f"0100007F:{port:04X}"}, "127.0.0.1 alone, and no other port"


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="becomes another user",
)
def test_other_user_cannot_read_the_key_or_a_run(studio: Any, tmp_path: Path) -> None:
    for folder in (studio.folder, *studio.folder.parents):  # pytest's own folders are private
        if folder != Path("/") and folder.is_relative_to(tmp_path.parents[1]):
            folder.chmod(0o755)
    as_other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat"]
    open_file = studio.folder / "open.txt"
    open_file.write_text("for all")
    open_file.chmod(0o644)
    readable = subprocess.run([*as_other, str(open_file)], capture_output=True, check=False)
    if readable.returncode:
        pytest.skip("a folder above the tests is closed to others")
    key = studio.folder / ".studio" / "api_key"
    refused = subprocess.run([*as_other, str(key)], capture_output=True, check=False)
    assert refused.returncode != 0
    assert refused.stdout == b""


@pytest.mark.parametrize(
    "name", [".studio", ".studio/jobs", ".studio/trash", ".studio/lessons", ".studio/reports"]
)
def test_workspace_is_refused_when_a_link_stands_for_its_own_folder(
    tmp_path: Path, name: str
) -> None:
    elsewhere, place = tmp_path / "elsewhere", tmp_path / "work" / name
    elsewhere.mkdir()
    place.parent.mkdir(parents=True)
    place.symlink_to(elsewhere)
    with pytest.raises(RunFolderError, match="a link"):
        Workspace(tmp_path / "work").make()
    assert list(elsewhere.iterdir()) == []


def test_folder_of_the_studio_becomes_private_when_it_was_open(tmp_path: Path) -> None:
    hidden = tmp_path / ".studio"
    hidden.mkdir()
    hidden.chmod(0o777)
    (hidden / "api_key").write_text("the key of a stranger")
    (hidden / "api_key").chmod(0o666)
    Workspace(tmp_path).make()
    write_private(hidden / "api_key", "another key")
    assert stat.S_IMODE(hidden.stat().st_mode) == 0o700
    assert stat.S_IMODE((hidden / "api_key").stat().st_mode) == 0o600
    assert (hidden / "api_key").read_text() == "another key"
    assert [p.name for p in hidden.iterdir() if p.is_file()] == ["api_key"]


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="becomes another user"
)
def test_workspace_is_refused_when_its_own_folder_belongs_to_another(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own folders are private
    try:
        (folder / ".studio").mkdir()
        for path in (folder, folder / ".studio"):
            path.chmod(0o777)
        code = ("import os, sys; from pathlib import Path\n"
                "from descend.web.studio.workspace import Workspace\n"
                "os.setgroups([]), os.setuid(65534)\n"
                "Workspace(Path(sys.argv[1])).make()\n")  # fmt: skip
        done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True,
                              text=True, check=False)  # fmt: skip
    finally:
        shutil.rmtree(folder)
    assert "RunFolderError" in done.stderr
    assert "found one that is open to others (Operation not permitted)" in done.stderr
