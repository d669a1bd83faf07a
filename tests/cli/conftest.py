"""The command line, called in this process or as its own."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from descend.cli.main import run
from json_schemas import check_output, find_command


@dataclass(frozen=True)
class CommandResult:
    """What a command line came to."""

    code: int
    out: str
    err: str
    words: tuple[str, ...] = ()

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be one JSON object on one line, as its schema says."""
        assert self.code == 0, self.err
        assert self.out.count("\n") == 1
        content = json.loads(self.out)
        assert isinstance(content, dict)
        check_output(find_command(list(self.words)), content)
        return content


Descend = Callable[..., CommandResult]


@pytest.fixture
def descend(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Descend:
    """`descend(*words, stdin="")` in this process."""

    def call(*words: object, stdin: str = "") -> CommandResult:
        pipe = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", pipe)
        capsys.readouterr()
        line = tuple(map(str, words))
        code = run(list(line))
        output = capsys.readouterr()
        return CommandResult(code, output.out, output.err, line)

    return call


@pytest.fixture
def shell() -> Descend:
    """The same as a process of its own, `python -m descend`."""

    def call(*words: object, stdin: str = "") -> CommandResult:
        line = tuple(map(str, words))
        done = subprocess.run(
            [sys.executable, "-m", "descend", *line],
            input=stdin, capture_output=True, text=True, encoding="utf-8", timeout=240, check=False,
        )  # fmt: skip
        return CommandResult(done.returncode, done.stdout, done.stderr, line)

    return call
