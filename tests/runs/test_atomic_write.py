"""A crash, a kill or a full disk leaves the old or the new, never half."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from descend.errors import DiskWriteError
from descend.runs.atomic_write import verify_folder, write_file_atomic, write_folder_atomic
from descend.runs.event_log import EventLog, read_events
from descend.runs.lock import lock_run_folder

posix = pytest.mark.skipif(os.name != "posix", reason="limits of processes are POSIX")

WRITER = """
import sys
from pathlib import Path
from descend.runs.atomic_write import write_file_atomic, write_folder_atomic
number = 0
while True:
    number += 1
    content = b"%d" % (number % 10) * 200_000
    write_file_atomic(Path("file"), content)
    write_folder_atomic(Path("folder"), [("a", content), ("b", content)])
    if number == 1:
        print("ready", flush=True)
"""

LIMITED = """
import resource, sys
from descend.cli.main import run
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.exit(run(sys.argv[2:]))
"""


def partials(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if "partial" in p.name or p.name.endswith(".old")]


@posix
def test_killed_writer_leaves_complete_files(own_folder: Path) -> None:
    pick = random.Random(3)
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", WRITER], stdout=subprocess.PIPE)
        assert process.stdout
        process.stdout.readline()
        time.sleep(pick.uniform(0, 0.05))
        process.kill()
        process.wait()
        process.stdout.close()
        content = Path("file").read_bytes()
        assert len(content) == 200_000
        assert len(set(content)) == 1
        # The one moment in which a folder stands under neither name is between two renames:
        # then its old state is there, whole, beside it.
        folders = [p for p in own_folder.iterdir() if p.name == "folder" or p.name.endswith(".old")]
        assert any(verify_folder(p) for p in folders)
        for name in partials(own_folder):
            path = Path(name)
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_write_folder_atomic_needs_the_memory_of_one_file(own_folder: Path) -> None:
    size = 2**22
    write_folder_atomic(own_folder / "warm", [("a", b"x" * size)])
    tracemalloc.start()
    try:
        write_folder_atomic(own_folder / "folder", ((f"f{n}", bytes([n]) * size) for n in range(8)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert verify_folder(own_folder / "folder")
    assert peak < 1.5 * size


@settings(max_examples=30, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.dictionaries(st.sampled_from("abcd"), st.binary(max_size=99), min_size=1), st.data())
def test_verify_folder_fails_after_any_byte_change(
    own_folder: Path, files: dict[str, bytes], data: st.DataObject
) -> None:
    folder = own_folder / "folder"
    write_folder_atomic(folder, files.items())
    assert verify_folder(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "manifest.json"} == files
    name = data.draw(st.sampled_from(sorted(files)))
    (folder / name).write_bytes(files[name] + b"!")
    assert not verify_folder(folder)


def test_a_full_disk_leaves_the_old_file(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:  # where blocks are given late, fsync tells that there are none
        raise OSError(errno.ENOSPC, "No space left on device")

    write_file_atomic(Path("old"), b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskWriteError) as caught:
        write_file_atomic(Path("old"), b"new")
    assert caught.value.exit_code == 1
    assert "a full disk with" in caught.value.actual
    assert "MB free" in caught.value.actual
    assert Path("old").read_bytes() == b"old"
    assert partials(own_folder) == []


@pytest.mark.parametrize("write", [
    lambda: write_file_atomic(Path("file/inside"), b"x"),
    lambda: write_folder_atomic(Path("file/inside"), [("a", b"x")]),
    lambda: EventLog(Path("file/inside")),
    lambda: lock_run_folder(Path("file/inside")).__enter__(),
])  # fmt: skip
def test_unwritable_path_raises_disk_error(own_folder: Path, write: Callable[[], Any]) -> None:
    Path("file").write_text("in the way")
    with pytest.raises(DiskWriteError) as caught:
        write()
    assert "refuses" in caught.value.actual
    assert "another folder" in caught.value.fix


@posix
def test_full_disk_ends_run_and_preserves_existing_model(
    own_folder: Path, trained: Path, tiny_file: Path, text_file: Path
) -> None:
    """A limit on the size of files stands for the disk: a write beyond it fails half-way."""
    model = own_folder / "model"
    shutil.copytree(trained, model)
    before = {p.name: p.read_bytes() for p in model.iterdir() if p.is_file()}
    train = [str(text_file), "--config", str(tiny_file), "--save-dir", "new"]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "30000", "train", *train],
        capture_output=True, text=True, check=False, timeout=240,
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert len(said) == 1
    assert said[0].startswith("error: new/checkpoints/step_1: expected ")
    assert "but found a disk that" in said[0]
    assert "Traceback" not in done.stderr
    assert not Path("new/model.safetensors").exists()
    assert not list(Path("new").rglob("*.partial"))

    # Over an earlier model: a run that is continued into a folder of its own leaves it be.
    further = subprocess.run(
        [sys.executable, "-c", LIMITED, "30000", "continue", "model", "--save-dir", "further"],
        capture_output=True, text=True, check=False, timeout=240,
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )  # fmt: skip
    assert further.returncode == 1
    assert {p.name: p.read_bytes() for p in model.iterdir() if p.is_file()} == before
    from descend import load

    assert load(model).predict("A", max_length=2).startswith("A")


@posix
def test_event_log_reports_full_disk(own_folder: Path) -> None:
    code = """
import resource, signal
from pathlib import Path
from descend.errors import DiskWriteError
from descend.runs.event_log import EventLog
from descend.runs.events import Sample
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
log = EventLog(Path("run"))
try:
    for step in range(100):
        log.append(Sample(step, "p", "t"))
except DiskWriteError as error:
    print(step, error.location)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    step, where = done.stdout.split()
    assert where == "run/events.jsonl"
    # What was written before, and not the half of a line at the end, is read back.
    assert [r.step for r in read_events(own_folder / "run")] == list(range(int(step)))


def test_run_folder_lock_rejects_second_writer(own_folder: Path) -> None:
    from descend.errors import RunLockedError

    with lock_run_folder(own_folder / "run"):
        code = (
            "from pathlib import Path; from descend.runs.lock import lock_run_folder\n"
            "with lock_run_folder(Path('run')): pass"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                              check=False)  # fmt: skip
        assert RunLockedError.__name__ in done.stderr
    with lock_run_folder(own_folder / "run"):
        pass
