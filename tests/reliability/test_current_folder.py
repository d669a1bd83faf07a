"""The current folder may be a stranger's: no child process imports a module that lies in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import descend
from descend.trials.worker_pool import start_worker, stop_workers, wait_until_ready
from descend.web.studio.processes import start_detached

SOURCES = Path(descend.__file__).parent


@pytest.fixture
def hostile_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with modules in the place of those that every process imports."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in ("random", "numpy", "torch", "msgspec", "typer"):
        (folder / f"{name}.py").write_text("open('obeyed', 'w').close()\nraise SystemExit(7)\n")
    monkeypatch.chdir(folder)
    return folder


def test_worker_of_trials_imports_no_module_of_the_current_folder(hostile_folder: Path) -> None:
    process = start_worker()
    wait_until_ready([process], is_timed=False)
    assert process.poll() is None
    stop_workers([process], [])
    assert not (hostile_folder / "obeyed").exists()


def test_studio_child_imports_no_module_of_its_workspace(hostile_folder: Path) -> None:
    log = hostile_folder / "log"
    assert start_detached(["--version"], hostile_folder, log).wait(300) == 0, log.read_text()
    assert not (hostile_folder / "obeyed").exists()


def test_every_child_python_is_started_without_the_current_folder() -> None:
    starts = {
        (path.name, option)
        for path in SOURCES.rglob("*.py")
        for option in re.findall(r'sys\.executable, "(-\w)"', path.read_text(encoding="utf-8"))
    }
    assert len(starts) >= 6
    assert {option for _, option in starts} == {"-P"}
