"""Bytes of a stranger are parsed in a child that cannot fill memory, hang, or open anything."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from descend.data import child_check
from descend.data import tokenizer as tokenizer_module
from descend.data.tokenizer import load_tokenizer
from descend.errors import TokenizerError
from descend.limited_process import LimitError, ProcessLimits, run_limited
from descend.model.header import check_header

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
LIMITS = ProcessLimits(megabytes=1024, cpu_seconds=2)


def write_parser(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module whose `main` parses as `body` says; returns its name."""
    (folder / "own_parser.py").write_text(
        "from descend.limited_process import answer_limited\n"
        "import os, socket, subprocess, sys, time\n"
        f"def parse(content):\n    {body}\n"
        "def main():\n    answer_limited(parse)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    return "own_parser"


def test_child_answers_when_all_is_well(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = write_parser(own_folder, "return len(content)", monkeypatch)
    assert run_limited(name, b"x" * 100_000, int, LIMITS) == 100_000


@pytest.mark.parametrize(("body", "reason"), [
    ("return len(bytearray(2**32))", "crash"),
    ("\n    while True: pass", "over 2 seconds"),
    ("os.abort()", "crash of its parser, or over 1024 MB"),
    ("return open('/etc/hostname').read()", "crash"),
    ("return [socket.socket(), 1][1]", "crash"),
    ("return subprocess.run(['true']).returncode", "crash"),
    ("return 'not a number'", "no answer"),
    ("sys.stdout.write('[' * 100_000)", "no answer"),
])  # fmt: skip
def test_child_gives_an_error_when_it_exceeds_a_limit(
    body: str, reason: str, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = write_parser(own_folder, body, monkeypatch)
    with pytest.raises(LimitError, match=reason):
        run_limited(name, b"", int, LIMITS)


def test_child_writes_no_file(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "os.write(FILE, b'x'); return 1\nFILE = os.open('written', os.O_CREAT | os.O_WRONLY)"
    name = write_parser(own_folder, body, monkeypatch)
    with pytest.raises(LimitError, match="crash"):
        run_limited(name, b"", int, LIMITS)
    assert Path("written").read_bytes() == b""


def test_child_imports_nothing_from_the_folder_of_the_user(own_folder: Path) -> None:
    for name in ("json", "msgspec", "tokenizers"):
        Path(f"{name}.py").write_text("raise SystemExit(9)")
    assert run_limited("descend.data.tokenizer_child", b"{}", str, ProcessLimits()) != ""


@pytest.mark.parametrize("edit", [
    {"normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 300}] * 4}},
    {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "////fw=="}},
    {"padding": {"strategy": {"Fixed": 10**10}, "direction": "Right", "pad_to_multiple_of": None,
                 "pad_id": 0, "pad_type_id": 0, "pad_token": "x"}},
], ids=["normalizers", "charsmap", "padding"])  # fmt: skip
def test_load_tokenizer_is_a_sentence_when_only_the_child_stands_in_the_way(
    edit: dict[str, Any], trained: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if our own check had a hole: the library alone aborts the process for some of these."""
    value = json.loads((trained / "tokenizer.json").read_bytes()) | edit
    Path("tokenizer.json").write_text(json.dumps(value))
    monkeypatch.setattr(tokenizer_module, "check_tokenizer", lambda content: content.decode())
    with pytest.raises(TokenizerError):
        load_tokenizer(Path("tokenizer.json"))


def test_tokenizer_is_tried_once_when_it_is_well(
    trained: Path, own_folder: Path, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(trained / "tokenizer.json", "tokenizer.json")
    started: list[Any] = []
    start = subprocess.Popen

    def count(*arguments: Any, **options: Any) -> Any:
        started.append(arguments)
        return start(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", count)
    expected = load_tokenizer(Path("tokenizer.json")).fingerprint
    assert len(started) == 1
    assert load_tokenizer(Path("tokenizer.json")).fingerprint == expected
    assert len(started) == 1
    content = json.loads(Path("tokenizer.json").read_bytes())
    content["model"]["vocab"]["zzz"] = 4_294_967_295
    Path("tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(TokenizerError):
        load_tokenizer(Path("tokenizer.json"))
    assert len(started) == 2


def test_header_is_checked_in_a_child(fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    content = len(text).to_bytes(8, "little") + text + bytes(4)
    called: list[bytes] = []

    def note(module: str, header: bytes, *rest: Any) -> Any:
        called.append(header)
        return run_limited(module, header, *rest)

    monkeypatch.setattr(child_check, "run_limited", note)
    check_header(content)
    check_header(content)
    assert called == [text]
    assert run_limited("descend.model.header_child", b"[" * 10**6, str, LIMITS) != ""
