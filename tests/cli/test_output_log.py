"""What the command line prints of the library's log."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from descend.cli.output import set_up_logging


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    logger = logging.getLogger("descend")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_set_up_logging_prints_a_repeated_warning_once(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info")
    logger = logging.getLogger("descend")
    for _ in range(2):
        logger.warning("%s: read as %s", "a.txt", "cp1252")
        logger.warning("%s: read as %s", "b.txt", "cp1252")
        logger.info("tokenizing")
    assert capsys.readouterr().err.splitlines() == [
        "a.txt: read as cp1252",
        "b.txt: read as cp1252",
        "tokenizing",
        "tokenizing",
    ]


@pytest.mark.parametrize("variables", [
    {"RANK": "3"}, {"RANK": "x"}, {"RANK": "3", "WORLD_SIZE": "1"},
    {"RANK": "9", "WORLD_SIZE": "4"},
])  # fmt: skip
def test_command_prints_when_no_launcher_started_it(variables: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "descend", "--version"], env=os.environ | variables,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "descend" in done.stdout + done.stderr
