"""Records that lack a fact, paths that no disk holds, and names of other bytes: a sentence each."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from descend.cli.main import run
from descend.config import make_config
from descend.data.corpus import resolve_corpus
from descend.data.prepare import prepare_documents
from descend.errors import CorpusError, RunFolderError
from descend.guard import encode_json, make_visible
from descend.runs.atomic_write import disk_error
from descend.runs.checksums import seal_json
from descend.runs.model_files import load_model
from descend.runs.run_files import load_summary, read_info
from descend.runs.run_folder import create_run_folder
from descend.web.studio.workspace import Workspace

CONFIGS = ("requested_config", "resolved_config")


def in_configs(**values: Any) -> Callable[[dict[str, Any]], object]:
    """Change keys of both configurations of a record."""
    return lambda record: [record[config].update(values) for config in CONFIGS]


DAMAGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "no facts of the text": lambda r: r.update(corpus={}),
    "no name of the text": lambda r: r["corpus"].pop("corpus"),
    "no baselines": lambda r: r["corpus"].pop("ngram_baselines"),
    "a baseline that is a word": lambda r: r["corpus"]["ngram_baselines"].update(unigram="x"),
    "counts that are words": lambda r: r["corpus"].update(train_tokens="many"),
    "no split of the text": lambda r: r["corpus"].pop("split_by"),
    "validation of nothing": lambda r: r["corpus"].update(validation_tokens=0),
    "no execution": lambda r: r.update(execution={}),
    "threads that are a word": lambda r: r["execution"].update(threads="x"),
    "a CUDA graph on a processor": lambda r: r["execution"].update(cuda_graph=True),
    "a text of no token": lambda r: r["corpus"].update(train_tokens=0),
    "no configuration": lambda r: r.update(resolved_config={}),
    "batches of nothing": lambda r: r["resolved_config"].update(batch_size=0),
    "a text that is a number": in_configs(corpus_dir=5),
    "a vocabulary that is a list": in_configs(vocab_path=["x"]),
    "NUL in the text": in_configs(corpus_dir="a\0b"),
    "NUL in the parent": lambda r: r.update(parent="a\0b"),
    "NUL in the working folder": lambda r: r.update(working_dir="a\0b"),
}
UNUSABLE: dict[str, Callable[[dict[str, Any]], object]] = {
    "the home of nobody": in_configs(corpus_dir="~nobody_of_this_name/text"),
    "a name too long for a disk": in_configs(corpus_dir="a" * 5000),
    "a parent of nobody": lambda r: r.update(parent="~nobody_of_this_name"),
    "a working folder too long for a disk": lambda r: r.update(working_dir="b" * 5000),
}


@pytest.fixture
def changed(trained: Path, own_folder: Path) -> Callable[..., Path]:
    """Makes a copy of a finished run whose run.json was changed, and sealed as its writer does."""

    def change(edit: Callable[[dict[str, Any]], object]) -> Path:
        folder = own_folder / "models" / "changed"
        shutil.copytree(trained, folder)
        record = json.loads((folder / "run.json").read_bytes())
        del record["sha256"]
        edit(record)
        (folder / "run.json").write_bytes(seal_json(record))
        return folder

    return change


@pytest.mark.parametrize("kind", DAMAGE)
def test_record_of_a_run_is_damaged_when_a_fact_is_missing_or_of_another_kind(
    changed: Callable[..., Path], capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    folder = changed(DAMAGE[kind])
    with pytest.raises(RunFolderError, match="damaged"):
        read_info(folder)
    assert run(["list"]) == 0
    assert "unreadable" in capsys.readouterr().out
    assert run(["report", str(folder)]) == 2


@pytest.mark.parametrize("verb", ["report", "forecast", "resume"])
def test_verbs_name_the_file_when_its_configuration_has_an_impossible_value(
    changed: Callable[..., Path], capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    folder = changed(in_configs(seed="x"))
    (folder / "model.safetensors").unlink()  # else a resume has nothing to do
    assert run([verb, str(folder)]) == 2
    error = capsys.readouterr().err
    assert f"{folder / 'run.json'}: expected a whole number, but found seed 'x'" in error


def test_verbs_give_a_sentence_when_no_step_can_be_read(
    changed: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = changed(lambda _: None)
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    whole = [line for line in lines if b'"kind":"step"' not in line]
    assert len(whole) < len(lines)
    (folder / "events.jsonl").write_bytes(b"".join(whole))
    assert list(folder.glob("checkpoints/*/state.json"))
    assert run(["diagnose", str(folder), "--no-trials"]) == 0
    assert "lines are missing" in capsys.readouterr().out
    assert run(["report", str(folder)]) == 0
    assert run(["checklist", str(folder)]) == 0
    assert run(["explain", "learning_rate", "--run", str(folder)]) == 2
    assert "no step that can be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "edit", [{"epochs": []}, {"best_epoch": 99}, {"parameters": 0}, {"ngram_baselines": {}}]
)
def test_summary_is_damaged_when_its_parts_contradict_each_other(
    changed: Callable[..., Path], capsys: pytest.CaptureFixture[str], edit: dict[str, Any]
) -> None:
    folder = changed(lambda _: None)
    summary = json.loads((folder / "summary.json").read_bytes())
    del summary["sha256"]
    (folder / "summary.json").write_bytes(seal_json(summary | edit))
    with pytest.raises(RunFolderError, match="damaged"):
        load_summary(folder)
    for words in (["report", str(folder)], ["show", str(folder)], ["list"]):
        run(words)
        assert "bug" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", UNUSABLE)
def test_show_describes_a_run_when_its_paths_lead_nowhere(
    changed: Callable[..., Path], capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    folder = changed(UNUSABLE[kind])
    assert run(["list"]) == 0
    assert "finished" in capsys.readouterr().out
    assert run(["show", str(folder)]) == 0
    assert run(["resume", str(folder)]) == 2
    assert "bug" not in capsys.readouterr().err


@pytest.mark.parametrize("words", [
    ["report", "LONG"], ["show", "LONG"], ["resume", "LONG"], ["list", "LONG"], ["train", "LONG"],
    ["generate", "LONG", "The cat"], ["diagnose", "LONG"], ["corpus", "stats", "LONG"],
    ["check", "LONG"], ["train", "--config", "LONG"], ["compare", "LONG", "LONG"],
    ["export", "LONG", "--to", "onnx"], ["forecast", "LONG"], ["train", "--save-dir", "LONG"],
])  # fmt: skip
def test_name_too_long_for_a_disk_gives_a_sentence(
    own_folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run([word.replace("LONG", "a" * 5000) for word in words]) in (1, 2)
    said = capsys.readouterr().err
    assert "bug" not in said
    assert "Fix:" in said
    assert len(said) < 2000


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take names of text alone")
def test_run_whose_name_is_no_text_is_listed(
    changed: Callable[..., Path], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    folder = changed(lambda _: None)
    folder.rename(os.fsdecode(os.path.join(os.fsencode(folder.parent), b"bad\xff")))
    assert run(["list"]) == 0
    assert rb"bad\udcff" in capsysbinary.readouterr().out
    assert run(["list", "--json"]) == 0
    (row,) = json.loads(capsysbinary.readouterr().out)["runs"]
    assert row["run"] == r"models/bad\udcff"


def test_names_that_are_no_text_are_written_with_escapes() -> None:
    assert make_visible("a\udcffb") == r"a\udcffb"
    content = encode_json({"a\udcff": ["\ud800", 1.5, float("nan"), None, {"b": "\U0001f600"}]})
    assert json.loads(content) == {r"a\udcff": [r"\ud800", 1.5, None, None, {"b": "\U0001f600"}]}


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None,
    reason="mounts a disk",
)
def test_message_says_what_is_used_up_when_a_disk_is_full(own_folder: Path) -> None:
    disk = own_folder / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", "size=64k,nr_inodes=2", "none", str(disk)]
    if subprocess.run(["mount", *options], check=False, capture_output=True).returncode:
        pytest.skip("this process may not mount")
    try:
        (disk / "a").touch()
        with pytest.raises(OSError, match="No space left") as caught:
            (disk / "b").touch()
        said = disk_error(disk / "b", caught.value).actual
        assert said == "a disk that can hold no further file"
        (disk / "a").unlink()  # as a save takes away what it could not finish
        assert disk_error(disk / "b", caught.value).actual == said
        more = ["-t", "tmpfs", "-o", "remount,size=64k,nr_inodes=1000", "none", str(disk)]
        subprocess.run(["mount", *more], check=True)
        assert disk_error(disk / "b", caught.value).actual == "a full disk with 0 MB free"
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    quota = OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    assert disk_error(disk, quota).actual == "a used-up quota"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take names of text alone")
def test_folder_of_texts_is_read_when_names_are_no_text(own_folder: Path) -> None:
    folder = own_folder / "texts"
    folder.mkdir()
    for name, content in (
        (b"na\xffme.txt", b"Words of a text.\n" * 200), (b"a.txt", b"More.\n" * 99),
        (b"bro\xffken.docx", b"no document"),
    ):  # fmt: skip
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_bytes(content)
    config = make_config({"corpus_dir": "texts"})
    first = prepare_documents(config, anew=True)
    again = prepare_documents(config, anew=True)
    assert first.documents.sha256 == again.documents.sha256
    assert first.train_bytes > 1000
    with pytest.raises(CorpusError, match="a name that is no text") as caught:
        resolve_corpus(os.fsdecode(b"texts/na\xffme.txt"))
    assert str(caught.value).isprintable()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take names of text alone")
@pytest.mark.parametrize("words", [
    ["train", "NAME"], ["train", "--save-dir", "NAME"], ["corpus", "stats", "NAME"],
    ["check", "NAME"], ["report", "NAME"], ["train", "--optimizer", "NAME"], ["explain", "NAME"],
    ["diagnose", "NAME"], ["train", "--NAME"], ["NAME"],
])  # fmt: skip
def test_name_that_is_no_text_gives_a_sentence(
    own_folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    name = os.fsdecode(b"na\xffme.py")
    Path(name).write_text("Words of a text.\n" * 200)
    assert run([word.replace("NAME", name) for word in words]) == 2
    said = capsys.readouterr().err
    assert "bug" not in said
    assert said.encode("ascii", "backslashreplace").decode().replace("\n", "").isprintable()


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_link_that_leads_to_itself_or_nowhere_gives_a_sentence(
    own_folder: Path, text_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("loop").symlink_to("loop")
    Path("nowhere").symlink_to("missing/folder")
    for name in ("loop", "nowhere"):
        with pytest.raises(RunFolderError, match="a link that leads nowhere"):
            create_run_folder(name)
        with pytest.raises(RunFolderError, match="expected a folder to work in"):
            Workspace(Path(name))
        for words in (["train", str(text_file), "--save-dir", name], ["report", name],
                      ["corpus", "stats", name], ["check", name]):  # fmt: skip
            assert run(words) == 2
            assert "bug" not in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep the folder of a process")
def test_deleted_current_folder_gives_a_sentence(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (gone := own_folder / "gone").mkdir()
    os.chdir(gone)
    gone.rmdir()
    try:
        for words in (["train"], ["list"], ["report", "latest"], ["check", "train.py"],
                      ["train", "--save-dir", "run"]):  # fmt: skip
            assert run(words) in (1, 2)
            said = capsys.readouterr().err
            assert "bug" not in said
            assert "Fix:" in said
    finally:
        os.chdir(own_folder)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_file_that_the_system_does_not_open_is_not_called_damaged(
    trained: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    shutil.copytree(trained, "run")
    refused, open_file = Path("run").resolve() / "run.json", os.open

    def refuse(path: Any, *rest: Any, **more: Any) -> int:
        if os.path.abspath(os.fspath(path)) == str(refused):
            raise OSError(code, os.strerror(code), str(path))
        return open_file(path, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    for name in ("run.json", "manifest.json"):
        refused = Path("run").resolve() / name
        with pytest.raises(RunFolderError) as raised:
            read_info(Path("run")) if name == "run.json" else load_model(Path("run"))
        assert f"found a file that cannot be read ({os.strerror(code)})" in str(raised.value)
        assert "Fix: Check its permissions and its disk." in str(raised.value)
