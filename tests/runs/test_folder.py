"""The run folder as it is read back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import descend
from descend.doctor.case import open_case
from descend.runs.folder import read_info


def test_a_run_finds_its_text_and_its_parent_from_any_folder(
    own_folder: Path, text_file: Path, tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_folder / "my.txt").write_bytes(text_file.read_bytes())
    small = tiny | {"corpus_dir": "my.txt", "epoch": 1}
    descend.run(small | {"save_dir": "models/first"})
    descend.run_on_model("models/first", {"epoch": 1, "save_dir": "models/second"})
    as_begun = read_info(Path("models/second"))
    assert (as_begun.config["corpus_dir"], as_begun.parent) == ("my.txt", "models/first")

    (own_folder / "elsewhere").mkdir()
    monkeypatch.chdir(own_folder / "elsewhere")
    folder = Path("..") / "models" / "second"
    info = read_info(folder)
    assert info.parent == os.path.join("..", "models", "first")
    assert info.resolved["corpus_dir"] == info.config["corpus_dir"] == os.path.join("..", "my.txt")
    assert open_case(folder).store is not None
    descend.run_on_model(folder, {"epoch": 1, "save_dir": "third"})
    assert read_info(Path("third")).parent == str(folder)


def test_a_run_whose_text_has_gone_keeps_the_name_it_had(
    own_folder: Path, text_file: Path, tiny: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = own_folder / "my.txt"
    text.write_bytes(text_file.read_bytes())
    descend.run(tiny | {"corpus_dir": "my.txt", "epoch": 1, "save_dir": "run"})
    text.unlink()
    (own_folder / "elsewhere").mkdir()
    monkeypatch.chdir(own_folder / "elsewhere")
    assert read_info(own_folder / "run").config["corpus_dir"] == "my.txt"
