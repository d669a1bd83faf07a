"""What all tests share: a cache of their own, and small texts to train on."""

from __future__ import annotations

import gc
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import descend

# As in the program itself: Python's 700 has it look for garbage among all tests again and again.
gc.set_threshold(100_000)

# Tiny products gain nothing from a second thread, and lose much where a core is busy.
os.environ["OMP_NUM_THREADS"] = "1"

# On a busy core any call can take longer than the 200 ms of hypothesis. Half its usual 100
# examples: `benchmarks/reliability/fuzz.py` tries millions.
settings.register_profile("no-deadline", deadline=None, max_examples=50)
settings.load_profile("no-deadline")


def pytest_collection_finish() -> None:
    """Leave out of each later look for garbage what stays to the end: tests and modules."""
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Tests neither read nor fill the user's cache, nor see their environment."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESCEND_CACHE_DIR", str(cache))
        # Children stand in other folders: a relative path to the package would be lost.
        patch.setenv("PYTHONPATH", str(Path(descend.__file__).parents[1]), prepend=os.pathsep)
        yield cache


@pytest.fixture(autouse=True, scope="session")
def heeding_ctrl_c() -> None:
    """Programs that tests start heed Ctrl-C, even where a shell has the tests themselves ignore it
    (in the background)."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def short_samples() -> Iterator[None]:
    """Runs write a few tokens as samples: 80 cost as much as the training of a tiny model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("descend.training.text_samples.SAMPLE_TOKENS", 8)
        yield


@pytest.fixture(autouse=True, scope="session")
def short_waits() -> Iterator[None]:
    """Files are not forced to the disk, and a busy machine is looked at without a pause: both take
    longer than the training of a tiny model. What a power cut leaves is tested by simulation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        patch.setattr("descend.training.execution.autotune.BETWEEN_WATCHES", 0.0)
        yield


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    """What a test does to torch's threads ends with it: on another number, bits differ."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test stands in an empty folder, where `models/` may be made."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 12 kB of sentences with something to learn: who does what where is not free."""
    rng = random.Random(7)
    places = {"the cat": "on the mat", "a dog": "in the yard", "the old owl": "up the tree"}
    sentences = []
    for _ in range(350):
        who = rng.choice(list(places))
        verb = rng.choice(["sleeps", "waits", "sings"])
        sentences.append(f"{who.capitalize()} {verb} {places[who]}.\n")
    path = tmp_path_factory.mktemp("text") / "animals.txt"
    path.write_text("".join(sentences), encoding="utf-8")
    return path


TINY = {
    "embed_dim": 16,
    "num_heads": 2,
    "num_layers": 2,
    "ff_dim": 32,
    "max_seq_len": 32,
    "seq_len": 16,
    "batch_size": 4,
    "epoch": 2,
    "vocab_size": 300,
    "precision": "float32",
}
"""Sizes that train in about a second."""


@pytest.fixture
def tiny(text_file: Path) -> dict[str, object]:
    """A configuration that trains in about a second, on `text_file`."""
    return {"corpus_dir": str(text_file)} | TINY


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`TINY` as a configuration file."""
    file = tmp_path_factory.mktemp("config") / "tiny.toml"
    file.write_text("".join(f"{key} = {value!r}\n" for key, value in TINY.items()))
    return file


@pytest.fixture(scope="session")
def trained(text_file: Path, tmp_path_factory: pytest.TempPathFactory, own_cache: Path) -> Path:
    """The folder of a finished run of `TINY` on `text_file`: for reading, not for changing."""
    from descend import run

    folder = tmp_path_factory.mktemp("models") / "finished"
    run({"corpus_dir": str(text_file), "save_dir": str(folder)} | TINY)
    return folder


@pytest.fixture
def varied_text(own_folder: Path) -> Path:
    """80 kB of made-up words: enough that networks of many sizes are sound."""
    rng = random.Random(3)
    words = ["".join(rng.choices("abcdefghiklmnoprstu", k=rng.randint(2, 8))) for _ in range(600)]
    often = [1 / n for n in range(1, len(words) + 1)]
    lines = [" ".join(rng.choices(words, often, k=12)) + ".\n" for _ in range(1300)]
    path = own_folder / "varied.txt"
    path.write_text("".join(lines))
    return path
