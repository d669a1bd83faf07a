"""The run folder as it is read back."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import descend
from descend.diagnosis.run_context import load_run_context
from descend.errors import DiskWriteError, RunFolderError
from descend.runs import atomic_write
from descend.runs.run_files import read_info
from descend.runs.run_folder import create_run_folder


def test_run_resolves_corpus_and_parent_from_any_folder(
    own_folder: Path, text_file: Path, tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_folder / "my.txt").write_bytes(text_file.read_bytes())
    small = tiny | {"corpus_dir": "my.txt", "epoch": 1}
    descend.run(small | {"save_dir": "models/first"})
    descend.run_on_model("models/first", {"epoch": 1, "save_dir": "models/second"})
    descend.run(small | {"save_dir": "models/taught", "teachers": "models/first,models/second"})
    as_begun = read_info(Path("models/second"))
    assert (as_begun.requested_config["corpus_dir"], as_begun.parent) == ("my.txt", "models/first")

    (own_folder / "elsewhere").mkdir()
    monkeypatch.chdir(own_folder / "elsewhere")
    folder = Path("..") / "models" / "second"
    info = read_info(folder)
    assert info.parent == os.path.join("..", "models", "first")
    assert (
        info.resolved_config["corpus_dir"]
        == info.requested_config["corpus_dir"]
        == os.path.join("..", "my.txt")
    )
    assert load_run_context(folder).store is not None
    taught = read_info(Path("..") / "models" / "taught")
    teachers = [os.path.join("..", "models", name) for name in ("first", "second")]
    assert taught.requested_config["teachers"] == ",".join(teachers)
    descend.run_on_model(folder, {"epoch": 1, "save_dir": "third"})
    assert read_info(Path("third")).parent == str(folder)


def test_run_preserves_corpus_name_when_file_is_missing(
    own_folder: Path, text_file: Path, tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = own_folder / "my.txt"
    text.write_bytes(text_file.read_bytes())
    descend.run(tiny | {"corpus_dir": "my.txt", "epoch": 1, "save_dir": "run"})
    text.unlink()
    (own_folder / "elsewhere").mkdir()
    monkeypatch.chdir(own_folder / "elsewhere")
    assert read_info(own_folder / "run").requested_config["corpus_dir"] == "my.txt"


def test_new_folder_probe_leaves_no_files(own_folder: Path) -> None:
    (own_folder / "empty").mkdir()
    for name in ("empty", "new", "new/deeper/still", None):
        create_run_folder(name)
    assert [p.name for p in own_folder.rglob("*")] == ["empty"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_unwritable_system_folder_is_a_user_error(own_folder: Path) -> None:
    with pytest.raises(RunFolderError, match="/proc/foo, which cannot be made"):
        create_run_folder("/proc/foo")


def test_full_disk_is_not_a_user_error(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_write.tempfile, "TemporaryDirectory", full)
    with pytest.raises(DiskWriteError, match="a full disk"):
        create_run_folder("new")


def test_run_folder_is_recognized_as_artifact(trained: Path, tmp_path: Path) -> None:
    """Else it would be trained on with the text beside it."""
    from descend.artifacts import is_artifact_folder

    assert is_artifact_folder(trained)
    (tmp_path / "run.json").write_text('{"text": "of another program"}')
    assert not is_artifact_folder(tmp_path)


def test_a_lock_is_visible_from_outside_and_left_as_it_is(own_folder: Path) -> None:
    from descend.runs.lock import is_run_locked, lock_run_folder

    folder = own_folder / "run"
    assert not is_run_locked(folder)
    assert not folder.exists()
    code = (
        "import sys; from pathlib import Path; from descend.runs.lock import is_run_locked; "
        "print(is_run_locked(Path(sys.argv[1])))"
    )

    def other_process() -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    with lock_run_folder(folder):
        assert other_process() == "True"
    assert other_process() == "False"
    with lock_run_folder(folder):  # what looked left no lock behind
        pass
