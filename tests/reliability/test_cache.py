"""A damaged cache is noticed before use and made again: the numbers stay the same."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend.config import make_config
from descend.data import cache_build
from descend.data.prepare import prepare_documents, prepare_tokenizer, prepare_tokens
from descend.data.token_store import TokenStore
from descend.errors import CorpusError
from descend.runs.cached_record import read_cached, write_cached
from descend.runs.checksums import is_sealed, seal_json
from descend.training.training_run import create_run, resume_run
from descend.trials.cached_trial import run_trial
from descend.trials.prepared_trial import prepare_trial
from descend.trials.timing.startup import (
    DEFAULT_STARTUP_SECONDS,
    record_worker_startup,
    worker_startup_seconds,
)
from descend.trials.timing.step_timing import StepTime, get_step_time
from descend.trials.trial_spec import TrialResult, make_trial_spec


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


def rewrite_as_of_another_format(folder: Path, path: Path, content: bytes) -> None:
    """Put `content` into a file of the cache, and seal the folder as an older descend would."""
    path.write_bytes(content)
    (folder / cache_build.MANIFEST).unlink()
    cache_build._seal(folder)
    cache_build._checked.clear()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2]", b"\x93NUMPY\x01\x00v\x00"])
def test_store_is_made_again_when_it_is_of_another_format(
    tiny: dict[str, Any], fresh_cache: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    before = store_of(tiny)
    expected = (bytes(before.train), bytes(before.validation), before.info)
    folders = [
        f for kind in ("text", "tokenizers", "tokens") for f in (fresh_cache / kind).iterdir()
    ]
    tried = 0
    for folder in folders:
        for path in [p for p in sorted(folder.iterdir()) if p.name != cache_build.MANIFEST]:
            rewrite_as_of_another_format(folder, path, content)
            caplog.clear()
            with caplog.at_level(logging.WARNING, logger="descend"):
                after = store_of(tiny)
            assert (bytes(after.train), bytes(after.validation), after.info) == expected, path
            assert "is of another format and is made again" in caplog.text, path
            tried += 1
    assert tried == 8


@pytest.mark.parametrize("damage", [halve, zero, flip, remove], ids=lambda d: d.__name__)
@pytest.mark.parametrize("name", ["skipped.json", "notes.json", "manifest.json"])
def test_list_of_skipped_files_is_made_again_when_it_is_damaged(
    tiny: dict[str, Any], fresh_cache: Path, name: str, damage: Any, text_file: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "good.txt").write_bytes(text_file.read_bytes())
    (corpus / "broken.docx").write_bytes(b"PK no archive")
    config = tiny | {"corpus_dir": str(corpus), "sample_size": 5000}
    before = store_of(config)
    (folder,) = (fresh_cache / "text").iterdir()
    content = (folder / name).read_bytes()
    damage(folder / name)
    assert bytes(store_of(config).train) == bytes(before.train)
    assert (folder / name).read_bytes() == content
    if name != cache_build.MANIFEST:
        rewrite_as_of_another_format(folder, folder / name, b'{"a": 1}')
        assert bytes(store_of(config).train) == bytes(before.train)
        assert (folder / name).read_bytes() == content


RECORDS = (
    TrialResult(
        key="k", steps=5, tokens=80, train_tokens=900, vocab_size=300, parameters=9000, seconds=1.5,
        peak_bytes=None, curve=[], validation_loss=3.5, accuracy=0.2,
        bits_per_byte=1.75, diverged_step=None, chunk_losses=[3.25, 3.75],
    ),
    StepTime(1.5e-6, 2.5e-3),
)  # fmt: skip


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_cached_record_is_as_if_it_was_not_there_when_any_bit_changed(
    record: Any, tmp_path: Path
) -> None:
    path = tmp_path / "record.json"
    write_cached(path, record)
    assert read_cached(path, type(record)) == record
    content = path.read_bytes()
    for at in range(len(content)):
        for bit in (0, 2, 6):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
            assert read_cached(path, type(record)) is None, (at, bit)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert read_cached(path, type(record)) is None
    for other in (b"{}", b"3.25", b"[" * 100_000, msgspec.json.encode(record)):
        path.write_bytes(other)
        assert read_cached(path, type(record)) is None
    path.unlink()
    path.symlink_to("/dev/zero")
    assert read_cached(path, type(record)) is None


def test_timings_and_trials_are_made_again_when_their_records_are_damaged(
    tiny: dict[str, Any], fresh_cache: Path
) -> None:
    spec = make_trial_spec(make_config(tiny | {"threads": 1}), steps=3)
    result = run_trial(spec)
    get_step_time(prepare_trial(spec))
    record_worker_startup(0.0)
    create_run(make_config(tiny | {"precision": "auto"}), Path("run"))
    kinds = {p.parent.name for p in fresh_cache.rglob("*.json")} - {"named"}
    assert kinds >= {"trials", "speed", "engine"}
    files = [
        p for p in fresh_cache.rglob("*.json") if p.parent.name in ("trials", "speed", "engine")
    ]
    for path in files:
        damage = path.read_bytes()
        path.write_bytes(damage.replace(b"1", b"2").replace(b"0.", b"9."))
        assert path.read_bytes() != damage
    assert worker_startup_seconds() == DEFAULT_STARTUP_SECONDS
    again = run_trial(spec)
    assert again.chunk_losses == result.chunk_losses
    assert again is not result
    get_step_time(prepare_trial(spec))
    create_run(make_config(tiny | {"precision": "auto"}), Path("other"))
    record_worker_startup(0.0)
    assert all(is_sealed(path.read_bytes()) for path in files)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_key_of_the_studio_is_made_again_when_it_is_damaged(
    fresh_cache: Path, content: bytes
) -> None:
    from descend.web.studio.signing import KEY_NAME, load_key

    first = load_key()
    file = fresh_cache / KEY_NAME
    file.write_bytes(content)
    second = load_key()
    assert len(second) == 32
    assert second != first
    assert load_key() == second == file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    assert [p.name for p in fresh_cache.iterdir() if KEY_NAME in p.name] == [KEY_NAME]


def test_copy_of_a_stream_is_refused_when_it_is_damaged(
    tiny: dict[str, Any], fresh_cache: Path, text_file: Path
) -> None:
    """Nothing can make it again: it is the only file of the cache of which that is so."""
    with text_file.open() as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", stream)
        before = store_of(tiny | {"corpus_dir": "-"})
    (copied,) = (fresh_cache / "stdin").iterdir()
    assert bytes(store_of(tiny | {"corpus_dir": str(copied)}).train) == bytes(before.train)
    flip(copied)
    os.utime(copied)
    with pytest.raises(CorpusError, match="a copy of a stream that is damaged"):
        store_of(tiny | {"corpus_dir": str(copied)})


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
    Path("run/run.json").write_bytes(seal_json(info))
    with pytest.raises(CorpusError, match="other train tokens"):
        resume_run(Path("run"))
