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
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def tutorial_commands() -> list[list[str]]:
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def quoted_lines() -> list[str]:
    """What the page shows of the output, without what stands behind an ellipsis."""
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for language, block in blocks if not language for line in block.splitlines()]
    return [line.strip().removesuffix(" …") for line in lines]


def read_numbers(line: str) -> list[float]:
    return [float(number) for number in NUMBER.findall(line)]


def assert_resembles(quoted: str, output: str) -> None:
    """The output has the line; with other numbers where trials differ from machine to machine."""
    flat = " ".join(output.split())
    shape = NUMBER.sub(lambda _: NUMBER.pattern, re.escape(" ".join(quoted.split())))
    shape = shape.replace("paired\\ seed", "paired\\ seeds?")
    matches = [read_numbers(match[0]) for match in re.finditer(shape, flat)]
    assert matches, quoted
    if quoted.startswith(("baseline", "chosen")):
        assert read_numbers(quoted) in matches
    elif quoted.startswith("epoch"):
        near = pytest.approx(read_numbers(quoted), rel=0.2)
        assert any(numbers == near for numbers in matches), (quoted, matches)


def run_command(command: list[str], folder: Path) -> str:
    program, *arguments = command
    assert program == "descend"
    done = subprocess.run(
        [sys.executable, "-m", "descend", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_tutorial_commands_work_as_written(tmp_path: Path) -> None:
    output = "\n".join(run_command(command, tmp_path) for command in tutorial_commands())
    for quoted in quoted_lines():
        assert_resembles(quoted, output)
    first, second = (tmp_path / "models" / name for name in ("first", "second"))
    assert read_json(first / "diagnosis.json")["verdict"] == "learning_rate_too_low"
    losses = [read_json(run / "summary.json")["bits_per_byte"] for run in (first, second)]
    assert losses[1] < losses[0]


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
