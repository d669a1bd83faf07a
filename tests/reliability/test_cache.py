"""A damaged cache is noticed before use and made again: the numbers stay the same."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from descend.config import make_config
from descend.data import cache_build
from descend.data.prepare import prepare_documents, prepare_tokenizer, prepare_tokens
from descend.data.token_store import TokenStore
from descend.errors import CorpusError
from descend.runs.checksums import seal_json
from descend.training.training_run import resume_run


def store_of(tiny: dict[str, Any]) -> TokenStore:
    cache_build._checked.clear()  # as another process
    text = prepare_documents(make_config(tiny), anew=True)
    return prepare_tokens(text, prepare_tokenizer(text, "bpe", 300))


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as damage does


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [halve, zero, flip, remove], ids=lambda d: d.__name__)
def test_every_file_of_the_cache_is_checked_and_made_again(
    tiny: dict[str, Any], fresh_cache: Path, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    before = store_of(tiny)
    expected = (bytes(before.train), bytes(before.validation), before.info)
    files = [p for kind in ("text", "tokenizers", "tokens") for p in (fresh_cache / kind).rglob("*")
             if p.is_file() and p.stat().st_size]  # fmt: skip
    assert {p.name for p in files} >= {
        "train.bin", "validation.bin", "info.json", "text.bin", "offsets.npy", "tokenizer.json",
        "manifest.json",
    }  # fmt: skip
    for path in files:
        good = hashlib.sha256(path.read_bytes()).hexdigest()
        damage(path)
        assert not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != good
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="descend"):
            after = store_of(tiny)
        assert (bytes(after.train), bytes(after.validation), after.info) == expected, path
        assert "was damaged and is made again" in caplog.text, path


def test_cache_build_syncs_each_file_when_it_renames_the_folder(
    tiny: dict[str, Any], fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc here")
    monkeypatch.setattr(os, "fsync", noting)
    store_of(tiny)
    names = {Path(place).name for place in synced}
    assert names >= {"train.bin", "validation.bin", "info.json", "manifest.json", "text.bin"}
    assert str(fresh_cache / "tokens") in synced


def test_a_resume_compares_the_hash_of_the_tokens(stopped: Any, own_folder: Path) -> None:
    run = stopped()
    assert len(run.store.info.train_sha256) == 64
    assert resume_run(Path("run")).state.step == 8
    info = json.loads(Path("run/run.json").read_bytes())
    info["corpus"]["train_sha256"] = "0" * 64
    info.pop("sha256")
    Path("run/run.json").write_bytes(seal_json(json.dumps(info).encode()))
    with pytest.raises(CorpusError, match="other train tokens"):
        resume_run(Path("run"))
