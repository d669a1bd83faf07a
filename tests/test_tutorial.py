"""The commands of docs/tutorial.md are run as they stand there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def tutorial_commands() -> list[list[str]]:
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def run_command(command: list[str], folder: Path) -> str:
    program, *arguments = command
    assert program == "descend"
    done = subprocess.run(
        [sys.executable, "-m", "descend", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_tutorial_commands_work_as_written(tmp_path: Path) -> None:
    for command in tutorial_commands():
        run_command(command, tmp_path)
    first, second = (tmp_path / "models" / name for name in ("first", "second"))
    assert read_json(first / "diagnosis.json")["verdict"] == "learning_rate_too_low"
    losses = [read_json(run / "summary.json")["bits_per_byte"] for run in (first, second)]
    assert losses[1] < losses[0]


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
