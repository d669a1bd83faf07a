"""A stranger's folder: nothing outside is read or written, nothing hangs, nothing is obeyed."""

from __future__ import annotations

import json
import os
import shutil
import stat
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import descend
from descend.cli.main import run
from descend.config import make_config
from descend.config_sources import load_config_file
from descend.data.tokenizer import load_tokenizer
from descend.errors import ConfigError, DescendError, RunFolderError, TokenizerError
from descend.runs.checksums import seal_json
from descend.runs.event_log import EventLog, read_events
from descend.runs.event_tail import EventTail
from descend.runs.events import TrainingStopped
from descend.runs.lock import lock_run_folder
from descend.runs.recorded_run import RecordedRun
from descend.runs.run_files import read_info
from descend.training.training_run import resume_run

posix = pytest.mark.skipif(os.name != "posix", reason="links and named pipes are POSIX")


@pytest.fixture
def stranger(trained: Path, own_folder: Path) -> Path:
    """A copy of a finished run, to be made hostile."""
    folder = own_folder / "stranger"
    shutil.copytree(trained, folder)
    return folder


@pytest.fixture
def canary(own_folder: Path) -> Path:
    """A file of the user's that nobody may change."""
    file = own_folder / "mine.txt"
    file.write_text("mine, all of it, without a line end")
    return file


# ---------------------------------------------------------------- links, devices, pipes, sizes

FILES = ["run.json", "summary.json", "events.jsonl", "config.json", "model.safetensors",
         "tokenizer.json", "manifest.json"]  # fmt: skip


def read_all(folder: Path) -> None:
    """All that reads the folder of a finished run without its text."""
    read_info(folder)
    descend.load(folder)
    assert read_events(folder)
    assert descend.load(folder).summary.finished


@posix
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["link", "device", "pipe", "socket", "folder", "huge"])
def test_only_regular_files_of_sane_size_are_read(stranger: Path, name: str, kind: str) -> None:
    read_all(stranger)
    path = stranger / name
    elsewhere = stranger.parent / f"elsewhere-{name}"
    path.rename(elsewhere)
    if kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif kind == "folder":
        path.mkdir()
    else:
        shutil.copy(elsewhere, path)
        os.truncate(path, 2**36)
    began = time.monotonic()
    with pytest.raises((RunFolderError, TokenizerError)) as caught:
        read_all(stranger)
    assert time.monotonic() - began < 20
    assert caught.value.exit_code == 2
    assert name in str(caught.value)


@posix
def test_events_that_lead_elsewhere_change_no_other_file(own_folder: Path, canary: Path) -> None:
    before = canary.read_bytes()
    folder = own_folder / "run"
    folder.mkdir()
    (folder / "events.jsonl").symlink_to(canary)
    with pytest.raises(DescendError, match="a link"):
        EventLog(folder)
    (folder / "events.jsonl").unlink()
    os.mkfifo(folder / "events.jsonl")
    with pytest.raises(DescendError, match=r"events\.jsonl"):
        EventLog(folder)
    assert canary.read_bytes() == before


@posix
def test_checkpoints_that_lead_elsewhere_are_neither_read_nor_written(
    stopped: Any, own_folder: Path
) -> None:
    stopped("mine")
    before = {p: p.read_bytes() for p in Path("mine").rglob("*") if p.is_file()}
    stopped("theirs")
    shutil.rmtree("theirs/checkpoints")
    Path("theirs/checkpoints").symlink_to(own_folder / "mine" / "checkpoints")
    with pytest.raises(DescendError, match="a link"):
        resume_run(Path("theirs"))
    with pytest.raises(DescendError, match="a link"), lock_run_folder(Path("theirs")):
        pass
    assert {p: p.read_bytes() for p in Path("mine").rglob("*") if p.is_file()} == before


@posix
def test_snapshots_that_lead_elsewhere_are_never_written(tmp_path: Path, own_folder: Path) -> None:
    Path("run").mkdir()
    (tmp_path / "elsewhere").mkdir()
    Path("run/snapshots").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DescendError, match="a link"), lock_run_folder(Path("run")):
        pass
    assert list((tmp_path / "elsewhere").iterdir()) == []


@posix
def test_a_lock_that_leads_elsewhere_is_refused(own_folder: Path, canary: Path) -> None:
    before = canary.read_bytes()
    Path("run").mkdir()
    Path("run/.lock").symlink_to(canary)
    with pytest.raises(DescendError, match="not a regular file"), lock_run_folder(Path("run")):
        pass
    assert canary.read_bytes() == before


@posix
def test_a_link_in_the_place_of_a_partial_file_is_not_followed(
    own_folder: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from descend.runs.atomic_write import write_file_atomic

    before = canary.read_bytes()
    monkeypatch.setattr("secrets.token_hex", lambda size: "ab" * size)
    Path(f".file.{os.getpid()}-abababab.partial").symlink_to(canary)
    with pytest.raises(DescendError, match="File exists"):
        write_file_atomic(Path("file"), b"new")
    assert canary.read_bytes() == before
    assert not Path("file").exists()
    write_file_atomic(Path("file"), b"new")  # what stood there is gone, and was not followed
    assert (Path("file").read_bytes(), canary.read_bytes()) == (b"new", before)


# ------------------------------------------------------------------------ paths in run.json


def with_path(folder: Path, path: str) -> None:
    info = json.loads((folder / "run.json").read_bytes())
    info.pop("sha256")
    info["requested_config"]["corpus_dir"] = info["resolved_config"]["corpus_dir"] = path
    (folder / "run.json").write_bytes(seal_json(info))


@posix
@pytest.mark.parametrize("path", ["/dev/zero", "-", "secret.txt", "/etc", "pipe"])
def test_a_text_that_the_user_never_named_is_not_read(
    stranger: Path, own_folder: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from descend.data import prepare
    from descend.diagnosis.run_context import load_run_context
    from descend.training.continuation import continuation_config

    (own_folder / "secret.txt").write_text("my secret. " * 999)
    os.mkfifo(own_folder / "pipe")
    with_path(stranger, path)

    def touched(*_: object, **__: object) -> None:
        raise AssertionError("the path was followed")

    monkeypatch.setattr(prepare, "resolve_corpus", touched)
    case = load_run_context(stranger)
    assert case.store is None
    assert "not named on this machine" in " ".join(case.warnings)
    with pytest.raises(DescendError, match="not named on this machine"):
        continuation_config(stranger, {})


def test_own_run_finds_its_text_after_a_move(trained: Path, tmp_path: Path) -> None:
    """A folder that this machine wrote is no stranger's, wherever it lies with its text."""
    from descend.data.cache_dir import check_path

    own_copy = tmp_path / "elsewhere" / "run"
    shutil.copytree(trained, own_copy)
    check_path("never named.txt", own_copy)
    with_path(own_copy, "never named.txt")  # one word of run.json is changed
    with pytest.raises(DescendError, match="not named on this machine"):
        check_path("never named.txt", own_copy)


@posix
def test_link_to_an_own_run_json_is_not_trusted(trained: Path, tmp_path: Path) -> None:
    from descend.data.cache_dir import check_path

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").symlink_to(trained / "run.json")
    with pytest.raises(DescendError, match="not named on this machine"):
        check_path("never named.txt", tmp_path / "run")


def test_a_text_that_the_user_named_is_read_again(stranger: Path) -> None:
    from descend.diagnosis.run_context import load_run_context

    assert load_run_context(stranger).store is not None


# ----------------------------------------------------------------- tokenizer, config, weights


def retokenized(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    value = json.loads((folder / "tokenizer.json").read_bytes())
    change(value)
    (folder / "tokenizer.json").write_text(json.dumps(value))


def replace_all(content: str, pattern: str = "a") -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": pattern}, "content": content}


HOSTILE = {
    "four normalizers": {"type": "Sequence", "normalizers": [replace_all("a" * 300)] * 4},
    "a long prefix": {"type": "Prepend", "prepend": "x" * 10_000},
    "a charsmap": {"type": "Precompiled", "precompiled_charsmap": "////fw=="},
    "a pattern": {"type": "Replace", "pattern": {"Regex": "(a|a?)+" * 999}, "content": ""},
    "many": {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 100},
    "no such": {"type": "Nothing"},
    "nested": {"type": "Sequence", "normalizers": [replace_all("b" * 9), {
        "type": "Sequence", "normalizers": [replace_all("a" * 9, "b")]}]},
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_normalizer_is_a_sentence(stranger: Path, name: str) -> None:
    retokenized(stranger, lambda value: value.update(normalizer=HOSTILE[name]))
    with pytest.raises(TokenizerError):
        load_tokenizer(stranger)


@pytest.mark.parametrize(("places", "ids"), [(2000, 1), (50, 50)])
def test_a_template_of_many_tokens_is_a_sentence(stranger: Path, places: int, ids: int) -> None:
    special = {"id": "x", "ids": [0] * ids, "tokens": ["x"] * ids}
    retokenized(stranger, lambda value: value.update(post_processor={
        "type": "TemplateProcessing", "pair": [], "special_tokens": {"x": special},
        "single": [{"SpecialToken": {"id": "x", "type_id": 0}}] * places,
    }))  # fmt: skip
    with pytest.raises(TokenizerError, match="a template of"):
        load_tokenizer(stranger)


def test_load_tokenizer_refuses_an_id_that_is_far_beyond_the_vocabulary(stranger: Path) -> None:
    # Without an end token: an earlier look at it would write all ids up to the highest as JSON.
    model = {"type": "BPE", "vocab": {"a": 0, "b": 2**27}, "merges": []}
    retokenized(stranger, lambda value: value.update(model=model, added_tokens=[]))
    with pytest.raises(TokenizerError, match="id 134217728 in a vocabulary of 2"):
        load_tokenizer(stranger)


def test_padding_and_truncation_of_a_batch_are_not_taken_over(stranger: Path) -> None:
    before = load_tokenizer(stranger).encode_batch(["the cat sleeps", "a"])
    retokenized(stranger, lambda value: value.update(
        padding={"strategy": {"Fixed": 10**10}, "direction": "Right", "pad_to_multiple_of": None,
                 "pad_id": 0, "pad_type_id": 0, "pad_token": "x"},
        truncation={"max_length": 1, "strategy": "LongestFirst", "stride": 0,
                    "direction": "Right"},
    ))  # fmt: skip
    assert load_tokenizer(stranger).encode_batch(["the cat sleeps", "a"]) == before


@pytest.mark.parametrize("content", [
    b"[" * 200_000, b'{"a":' * 200_000, b'{"model": ' + b"[" * 5000, b"", b"null", b"\xff\xfe",
    b'{"version":"1.0"}', b'{"model":{"type":"BPE","vocab":{"a":4294967295},"merges":[]}}',
], ids=range(8))  # fmt: skip
def test_json_that_is_deep_or_damaged_is_a_sentence(stranger: Path, content: bytes) -> None:
    (stranger / "manifest.json").unlink()
    for name in ("tokenizer.json", "config.json", "run.json", "summary.json"):
        good = (stranger / name).read_bytes()
        (stranger / name).write_bytes(content)
        with pytest.raises((RunFolderError, TokenizerError)):
            read_all(stranger)
        (stranger / name).write_bytes(good)
    (stranger / "manifest.json").write_bytes(content)
    with pytest.raises(RunFolderError):
        descend.load(stranger)


def header_file(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def entry(offset: int = 0, shape: str = "[1]") -> str:
    return f'{{"dtype":"F32","shape":{shape},"data_offsets":[{offset},{offset + 4}]}}'


WEIGHTS = {
    "700,000 names": lambda: header_file(
        ("{" + ",".join(f'"weight_{n:07d}":{entry()}' for n in range(700_000)) + "}").encode()
    ),
    "a name twice": lambda: header_file(f'{{"a":{entry()},"a":{entry()}}}'.encode(), bytes(4)),
    "an empty tensor": lambda: header_file(
        b'{"a":{"dtype":"F32","shape":[0,4611686018427387904],"data_offsets":[0,0]}}'
    ),
    "a header of 2^63": lambda: struct.pack("<Q", 2**63) + b"{}",
    "a deep header": lambda: header_file(b"[" * 100_000),
    "no object": lambda: header_file(b'["a"]'),
    "no tensor": lambda: header_file(b'{"a":3}'),
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_hostile_weights_are_a_sentence_at_once(stranger: Path, name: str) -> None:
    (stranger / "manifest.json").unlink()
    (stranger / "model.safetensors").write_bytes(WEIGHTS[name]())
    began = time.process_time()
    with pytest.raises(RunFolderError, match=r"model\.safetensors"):
        descend.load(stranger)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_refused(stranger: Path, bad: float) -> None:
    (stranger / "manifest.json").unlink()
    state = load_file(stranger / "model.safetensors")
    name = sorted(state)[-1]
    state[name].view(-1)[-1] = bad
    save_file(state, stranger / "model.safetensors", metadata={"format": "pt"})
    for verb in (["evaluate", str(stranger), "python"], ["generate", str(stranger), "a"]):
        assert run(verb) == 2
    with pytest.raises(RunFolderError, match="not finite"):
        descend.load(stranger)


def test_weights_that_give_no_finite_loss_are_no_result(stranger: Path, text_file: Path) -> None:
    (stranger / "manifest.json").unlink()
    state = load_file(stranger / "model.safetensors")
    norm = next(n for n in state if n in ("model.norm.weight", "transformer.ln_f.weight"))
    state[norm] = torch.full_like(state[norm], 3e38)  # finite, and too large for the logits
    save_file(state, stranger / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunFolderError, match="a finite loss"):
        descend.load(stranger).evaluate(text_file)
    assert run(["generate", str(stranger), "The cat"]) == 2
    assert run(["generate", str(stranger), "The cat", "--greedy"]) == 2


@pytest.mark.parametrize("length", [-1, 0, 10**12, 1.5, None, "x" * 10_000])
def test_context_out_of_range_gives_an_error(stranger: Path, length: object) -> None:
    info = json.loads((stranger / "run.json").read_bytes())
    info.pop("sha256")
    info["resolved_config"]["seq_len"] = length
    (stranger / "run.json").write_bytes(seal_json(info))
    with pytest.raises(RunFolderError, match=r"run\.json.*seq_len") as caught:
        _ = descend.load(stranger).trained_context
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("change", [
    {"precision": "float8"}, {"threads": 10**9}, {"threads": 0}, {"device": 3}, {"threads": None},
])  # fmt: skip
def test_execution_out_of_range_gives_an_error(stranger: Path, change: dict[str, Any]) -> None:
    info = json.loads((stranger / "run.json").read_bytes())
    info.pop("sha256")
    info["execution"] |= change
    (stranger / "run.json").write_bytes(seal_json(info))
    with pytest.raises(
        RunFolderError, match=r"run\.json.*(a damaged file|an execution that cannot be)"
    ):
        _ = RecordedRun(stranger).execution


# ------------------------------------------------------------------------ configuration files

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefg", "bcdefgh",
                                                                       strict=True)
)  # fmt: skip


@pytest.mark.parametrize(("name", "content"), [
    ("deep.json", "[" * 50_000), ("deep.json", '{"a":' * 10_000 + "1" + "}" * 10_000),
    ("deep.toml", "a = " + "[" * 50_000), ("deep.toml", ".".join("a" * 30_000) + " = 1"),
    ("deep.yaml", "[" * 50_000), ("deep.yaml", "- " * 40_000 + "x"), ("bomb.yaml", BOMB),
    ("huge.toml", "#" * 200_000), ("merge.yaml", "a: &a {b: 1}\nc:\n  <<: *a\n"),
])  # fmt: skip
def test_a_configuration_that_explodes_is_a_sentence(
    own_folder: Path, name: str, content: str
) -> None:
    Path(name).write_text(content)
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        make_config(load_config_file(Path(name)))
    assert time.process_time() - began < 5
    assert len(str(caught.value)) < 2500
    if name in ("bomb.yaml", "merge.yaml"):
        assert "an alias" in str(caught.value)


@posix
def test_a_configuration_may_be_a_pipe_but_is_never_endless(own_folder: Path) -> None:
    with pytest.raises(ConfigError, match="more than 100,000 bytes"):
        load_config_file(Path("/dev/zero"))


def test_a_message_never_echoes_a_whole_value(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config({"corpus_dir": "a", "epoch": "9" * 100_000})
    assert len(str(caught.value)) < 2500
    assert run(["train", "--epoch", "x" * 100_000]) == 2
    assert len(capsys.readouterr().err) < 5000


def test_a_line_without_end_costs_no_memory(own_folder: Path) -> None:
    folder = own_folder / "run"
    log = EventLog(folder)
    log.append(TrainingStopped(1, "failed", "now"))
    log.close()
    with (folder / "events.jsonl").open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.truncate(file.tell() + 2**28)  # sparse
    tracemalloc.start()
    try:
        assert [r.step for r in read_events(folder)] == [1]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**26


def test_append_refuses_a_log_when_its_last_line_has_no_end(own_folder: Path) -> None:
    """To mend its end it is read backwards: that must not take all of it into memory."""
    folder = own_folder / "run"
    log = EventLog(folder)
    log.append(TrainingStopped(1, "failed", "now"))
    log.close()
    file = folder / "events.jsonl"
    os.truncate(file, 2**31)  # sparse
    began = time.process_time()
    with pytest.raises(DescendError, match="longer than any of a run"):
        EventLog(folder)
    assert time.process_time() - began < 10
    assert file.stat().st_size == 2**31, "nothing is cut off"


def test_event_tail_comes_to_an_end_when_a_line_has_none(own_folder: Path) -> None:
    folder = own_folder / "run"
    log = EventLog(folder)
    log.append(TrainingStopped(1, "failed", "now"))
    os.truncate(folder / "events.jsonl", 2**26)
    tail, looks, events = EventTail(folder), 0, []
    while True:
        events += tail.read()
        looks += 1
        assert looks < 10
        if not tail.has_more:
            break
    assert [event.step for event in events] == [1]
    log.close()
