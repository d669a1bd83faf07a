"""Files with a second name, links that change while they are opened, and names at the limits."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from descend.cli.main import run
from descend.guard import read_regular
from descend.runs.event_log import read_events
from descend.runs.events import Step
from descend.training.trainer import run_training
from descend.training.training_run import resume_run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems, other names")


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder, but its lock."""
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*")
        if p.is_file() and p.name != ".lock"
    }  # fmt: skip


def test_backup_of_hard_links_stays_as_it_is_when_the_run_goes_on(stopped: Any) -> None:
    stopped("run", step=9, steps=(4,))
    shutil.copytree("run", "backup", copy_function=os.link)
    before = contents(Path("backup"))
    assert Path("run/events.jsonl").samefile("backup/events.jsonl")
    list(run_training(resume_run(Path("run"))))
    assert contents(Path("backup")) == before
    list(run_training(resume_run(Path("backup"))))
    assert contents(Path("backup"))["model.safetensors"] == contents(Path("run"))[
        "model.safetensors"
    ]  # fmt: skip
    losses = [[e.loss for e in read_events(Path(f)) if isinstance(e, Step)]
              for f in ("run", "backup")]  # fmt: skip
    assert losses[0] == losses[1]


def test_no_link_is_followed_when_it_replaces_a_file_between_check_and_open(
    tmp_path: Path,
) -> None:
    path, link, file = (tmp_path / name for name in ("run.json", "link", "file"))
    mine = tmp_path / "mine.txt"
    mine.write_bytes(b"mine")
    path.write_bytes(b"theirs")
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            link.symlink_to(mine)
            link.replace(path)
            file.write_bytes(b"theirs")
            file.replace(path)

    thread = threading.Thread(target=swap)
    thread.start()
    results = set()
    try:
        for _ in range(5_000):
            try:
                results.add(read_regular(path))
            except OSError:
                results.add(b"refused")
    finally:
        ended.set()
        thread.join()
    assert results == {b"theirs", b"refused"}


def test_run_lives_in_a_folder_whose_name_is_as_long_as_a_disk_takes(
    own_folder: Path, text_file: Path, tiny: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = "é" * 127 + "n"
    assert len(os.fsencode(folder)) == 255
    config = own_folder / "config.toml"
    config.write_text("".join(f"{key} = {value!r}\n" for key, value in tiny.items()))
    words = ["--config", str(config), "--threads", "1", "--compile", "off"]
    assert run(["train", *words, "--save-dir", folder]) == 0
    for verb in (["report", folder], ["show", folder], ["list", "."], ["forecast", folder],
                 ["generate", folder, "The", "--max-new-tokens", "2"]):  # fmt: skip
        assert run(verb) == 0, verb
    assert "bug" not in capsys.readouterr().err


def test_two_normal_forms_of_a_name_are_two_folders(stopped: Any, own_folder: Path) -> None:
    forms = [unicodedata.normalize(form, "Modèle é") for form in ("NFC", "NFD")]
    for seed, name in enumerate(forms):
        stopped(name, seed=seed)
    losses = [[e.loss for e in read_events(Path(name)) if isinstance(e, Step)] for name in forms]
    assert losses[0] != losses[1]
    assert len(list(own_folder.iterdir())) == 2
    for name in forms:
        assert resume_run(Path(name)).state.step == 8
