"""Two real runs of a second each: one as it should be, one of other choices that goes astray."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from descend.cli.main import run as run_command_line


@dataclass(frozen=True)
class CommandResult:
    """What a command line came to."""

    code: int
    out: str
    err: str


Explain = Callable[..., CommandResult]


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str]) -> Explain:
    """`descend explain` with these words, in this process."""

    def call(*words: object) -> CommandResult:
        capsys.readouterr()
        code = run_command_line(["explain", *map(str, words)])
        output = capsys.readouterr()
        return CommandResult(code, output.out, output.err)

    return call


@pytest.fixture
def python() -> Callable[[str], str]:
    """What a program prints in a Python of its own."""

    def call(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240
        )
        return done.stdout

    return call


@pytest.fixture(scope="session")
def astray(text_file: Path, tmp_path_factory: pytest.TempPathFactory, own_cache: Path) -> Path:
    """A finished run of `gpt`, AdamW and characters, whose second epoch has far too high a rate."""
    from descend import run

    folder = tmp_path_factory.mktemp("models") / "astray"
    run({
        "corpus_dir": str(text_file), "save_dir": str(folder), "architecture": "gpt",
        "embed_dim": 15, "num_heads": 3, "num_layers": 1, "ff_dim": 32, "max_seq_len": 16,
        "seq_len": 16, "batch_size": 8, "epoch": 3, "tokenizer": "char", "optimizer": "adamw",
        "learning_rate": {1: 0.01, 2: 0.5}, "gradient_clip": 0.0, "dropout_rate": 0.1,
        "label_smoothing": 0.1, "weight_decay": 0.0, "warmup_steps": 0, "precision": "float32",
        "divergence_rollback": "off",
    })  # fmt: skip
    return folder
