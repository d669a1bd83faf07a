"""Locks on disks that have none, or whose server is gone, and those that dead processes left."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from descend.config import make_config
from descend.errors import DiskWriteError
from descend.runs.file_lock import try_lock
from descend.runs.lock import is_run_locked, lock_run_folder
from descend.runs.run_folder import create_run_folder
from descend.training.trainer import run_training
from descend.training.training_run import create_run, resume_run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="another call locks there")


def refuse(monkeypatch: pytest.MonkeyPatch, code: int, only: int | None = None) -> list[int]:
    """Let the system refuse `flock`, or `only` one kind of it, with `code`; the kinds refused."""
    import fcntl

    lock, refused = fcntl.flock, []

    def flock(descriptor: int, kind: int) -> None:
        if only is not None and not kind & only:
            lock(descriptor, kind)
            return
        refused.append(kind)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    return refused


@pytest.mark.parametrize("name", ["ENOLCK", "EOPNOTSUPP", "ENOSYS", "ESTALE", "EIO"])
def test_disk_without_locks_is_named_and_nothing_is_written(
    tiny: dict[str, Any], own_folder: Path, name: str
) -> None:
    config = make_config(tiny | {"epoch": 1, "threads": 1})
    with pytest.MonkeyPatch.context() as patch:
        refused = refuse(patch, getattr(errno, name))
        with pytest.raises(DiskWriteError) as raised:
            next(run_training(create_run(config, create_run_folder("run"))))
        assert refused
        assert not is_run_locked(Path("run"))
    code = getattr(errno, name)
    expected = (
        "a disk that cannot lock files" if name[:2] in ("EN", "EO") else "a disk that refuses"
    )
    assert f"found {expected} ({os.strerror(code)})" in str(raised.value)
    assert os.listdir("run") == [".lock"]
    again = create_run(config, create_run_folder("run"))  # the same, once the disk has locks
    for _ in run_training(again):
        pass
    assert Path("run/model.safetensors").exists()


def test_run_is_finished_when_its_disk_is_gone_as_the_lock_is_given_back(
    tiny: dict[str, Any], own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    run = create_run(make_config(tiny | {"epoch": 1, "threads": 1}), Path("run"))
    refused = refuse(monkeypatch, errno.ESTALE, only=fcntl.LOCK_UN)
    for _ in run_training(run):
        pass
    assert refused == [fcntl.LOCK_UN]
    with lock_run_folder(Path("run")):  # closing the file has freed the lock
        assert is_run_locked(Path("run"))


@pytest.mark.parametrize("is_empty", [True, False])
def test_lock_file_of_a_dead_process_stops_nobody(stopped: Any, is_empty: bool) -> None:
    stopped()
    # As left in another boot, with a number used again.
    left = "" if is_empty else f"{os.getpid()}\n{os.uname().nodename}\n12345\n"
    Path("run/.lock").write_text(left)
    assert not is_run_locked(Path("run"))
    for _ in run_training(resume_run(Path("run"))):
        pass
    assert Path("run/model.safetensors").exists()


def test_lock_is_free_after_a_fork_that_still_runs(own_folder: Path) -> None:
    read, write = os.pipe()
    with lock_run_folder(own_folder / "run"):
        if (child := os.fork()) == 0:
            os.read(read, 1)  # with the lock's file open, as a worker of a loader
            os._exit(0)
    descriptor = try_lock(own_folder / "run" / ".lock")
    os.write(write, b"x")
    os.waitpid(child, 0)
    assert descriptor is not None
    os.close(descriptor)
