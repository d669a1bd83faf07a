"""Requests that come at the same moment: each new run and experiment has a name of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from descend.runs.run_folder import claim_folder

from .studio_server import TINY_SETTINGS

AT_ONCE = 6


def call_together(count: int, call: Callable[[int], Any]) -> list[Any]:
    """What `call` returns for each number under `count`, all in threads that begin together."""
    barrier = Barrier(count)

    def begin(number: int) -> Any:
        barrier.wait()
        return call(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def test_runs_started_at_once_have_names_and_settings_of_their_own(
    studio: Any, varied_text: Path
) -> None:
    studio.ask("PUT", "/texts/words.txt", varied_text.read_bytes())

    def start(seed: int) -> tuple[int, dict[str, Any]]:
        settings = {**TINY_SETTINGS, "seed": seed, "epoch": 50}
        answer: tuple[int, dict[str, Any]] = studio.ask(
            "POST", "/runs", {"text": "words.txt", "settings": settings}
        )
        return answer

    answers = call_together(AT_ONCE, start)
    assert [status for status, _ in answers] == [201] * AT_ONCE
    names = [answer["run"] for _, answer in answers]
    assert sorted(names) == [f"words-{number}" for number in range(1, AT_ONCE + 1)]
    for seed, name in enumerate(names):
        (file,) = (studio.folder / ".studio").rglob(f"{name}.config.json")
        assert json.loads(file.read_text())["seed"] == seed
    for name in reversed(names):  # those that wait first
        studio.ask("POST", f"/runs/{name}/stop")


@pytest.mark.parametrize("stem", ["", "Model_"])
def test_folders_claimed_in_one_second_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stem: str
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    folders = call_together(16, lambda _: claim_folder(tmp_path / "new" / "folders", stem))
    assert sorted(folder.name for folder in folders) == [
        f"{stem}{1_800_000_000 + number}" for number in range(16)
    ]
    assert all(folder.is_dir() for folder in folders)
