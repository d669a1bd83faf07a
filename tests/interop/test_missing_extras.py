"""Each extra that is not installed is named in one sentence with its `pip install` line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from descend.data.tokenizer import train_tokenizer
from descend.model.shape import ModelShape
from descend.model.transformer import Transformer
from descend.runs.model_files import save_model

PROGRAM = """
import sys
for name in {blocked!r}.split(","):
    sys.modules[name] = None  # an import of it fails as if it were not installed
from descend.cli.main import main
sys.argv = ["descend", *{arguments!r}]
main()
"""

CASES = {
    "gguf": (["export", "MODEL", "--to", "gguf"], "export"),
    "huggingface_hub": (["push", "MODEL", "me/model"], "hub"),
    "starlette": (["serve", "MODEL"], "serve"),
    "fastapi": (["studio"], "studio"),
    "datasets": (["train", "hf:someone/stories"], "datasets"),
    "peft": (["continue", "MODEL", "TEXT", "--lora-rank", "4", "--optimizer", "adamw"], "lora"),
    "optuna": (["search", "TEXT", "--minutes", "0.1"], "search"),
}
"""Package, command, and the extra that it belongs to."""

RAY = """
import os, sys
sys.modules["ray"] = None
os.environ["RAY_ADDRESS"] = "auto"
from descend.trials.ray_executor import cluster_slots
cluster_slots({"cpu"})
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer("byte", 257, lambda: iter(()))
    save_model(folder, Transformer(ModelShape("modern", 257, 16, 2, 1, 16, 16)).eval(), tokenizer)
    (folder / "text.txt").write_text("The fox sees nine hens.\n" * 200)
    return folder


@pytest.mark.parametrize("package", CASES)
def test_command_names_the_extra_when_it_is_missing(package: str, model: Path) -> None:
    arguments, extra = CASES[package]
    known = {"MODEL": str(model), "TEXT": str(model / "text.txt")}
    program = PROGRAM.format(
        blocked=package, arguments=[known.get(word, word) for word in arguments]
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=model
    )
    assert done.returncode == 2, done.stderr
    assert f"pip install 'descend[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("expected") == 1


def test_ray_address_names_the_extra_when_ray_is_missing() -> None:
    done = subprocess.run([sys.executable, "-c", RAY], capture_output=True, text=True, check=False)
    assert "MissingDependencyError" in done.stderr
    assert "pip install 'descend[ray]'" in done.stderr
