"""Two runs in one folder: the second one refuses, whenever it looked."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from descend.config import make_config
from descend.data.cache_build import build_once, is_whole
from descend.errors import DiskWriteError, RunLockedError
from descend.runs.atomic_write import write_file_atomic
from descend.training.trainer import run_training
from descend.training.training_run import create_run, resume_run


def content(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_run_that_looked_before_another_began_does_not_overwrite_it(
    tiny: dict[str, Any], own_folder: Path
) -> None:
    tiny |= {"epoch": 1, "threads": 1}
    first, second = (create_run(make_config(tiny), Path("run")) for _ in range(2))
    for _ in run_training(first):
        pass
    before = content(Path("run"))
    assert "run/model.safetensors" in before
    with pytest.raises(RunLockedError, match="another process began"):
        next(run_training(second))
    assert content(Path("run")) == before


def test_a_run_is_not_resumed_twice_from_the_same_checkpoint(stopped: Any) -> None:
    stopped()
    first, second = resume_run(Path("run")), resume_run(Path("run"))
    for _ in run_training(first):
        pass
    before = content(Path("run"))
    with pytest.raises(RunLockedError, match="took up meanwhile"):
        next(run_training(second))
    assert content(Path("run")) == before


def test_threads_that_write_the_same_file_never_mix(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents, problems = (b"a" * 200_000, b"b" * 300_000), []
    monkeypatch.setattr("os.fsync", lambda descriptor: time.sleep(0.001))  # as long as a disk takes

    def write(content: bytes) -> None:
        try:
            for _ in range(40):
                write_file_atomic(Path("file"), content)
                if Path("file").read_bytes() not in contents:
                    problems.append("half of one")
        except DiskWriteError as problem:
            problems.append(str(problem))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, contents))
    assert problems == []
    assert [p.name for p in own_folder.iterdir()] == ["file"]


def test_builds_of_one_folder_under_one_process_number_never_mix(fresh_cache: Path) -> None:
    """As of two containers that share a cache: the first process of each has the number 1."""
    met = threading.Barrier(2)  # both are half built at the same time

    def build(folder: Path) -> None:
        with (folder / "train.bin").open("wb") as file:
            for _ in range(2):
                file.write(b"x" * 1000)
                met.wait(10)

    tokens = fresh_cache / "tokens"
    with ThreadPoolExecutor(2) as pool:
        builds = [pool.submit(build_once, tokens / "a", build) for _ in range(2)]
        assert [done.result() for done in builds] == [tokens / "a"] * 2
    assert is_whole(tokens / "a")
    assert (tokens / "a" / "train.bin").stat().st_size == 2000
    assert [p.name for p in tokens.iterdir()] == ["a"]
