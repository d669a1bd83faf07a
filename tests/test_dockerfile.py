"""The image, as far as it can be checked without a Docker daemon."""

from __future__ import annotations

import fnmatch
import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile and its arguments, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(None, 1)) for line in lines]  # type: ignore[misc]


def copied_files() -> list[str]:
    """What the Dockerfile takes from the repository."""
    sources = []
    for name, arguments in instructions():
        if name == "COPY" and not arguments.startswith("--from"):
            sources += arguments.split()[:-1]
    return sources


def is_sent_to_docker(path: str) -> bool:
    """Whether .dockerignore lets `path` through: its last rule that matches decides."""
    is_sent = True
    for rule in (ROOT / ".dockerignore").read_text().split():
        pattern = rule.removeprefix("!").removeprefix("**/")
        if fnmatch.fnmatch(path, pattern):
            is_sent = rule.startswith("!")
    return is_sent


def test_dockerfile_copies_files_that_exist_and_are_sent() -> None:
    files = copied_files()
    assert {"pyproject.toml", "src"} <= set(files)
    assert [name for name in files if not (ROOT / name).exists()] == []
    assert [name for name in files if not is_sent_to_docker(name)] == []
    assert not is_sent_to_docker("tests")


def test_dockerfile_copies_all_that_the_build_reads() -> None:
    needed = {PROJECT["readme"], *(f for f in PROJECT["license-files"] if "/" not in f)}
    assert needed <= set(copied_files())


def test_dockerfile_installs_extras_that_the_project_has() -> None:
    run = " ".join(arguments for name, arguments in instructions() if name == "RUN")
    (extras,) = re.findall(r'"\.\[([\w,]+)\]"', run)
    assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()


def test_dockerfile_starts_the_command_of_the_project_as_another_user_than_root() -> None:
    by_name = dict(instructions())
    assert json.loads(by_name["ENTRYPOINT"]) == ["descend"]
    assert "descend" in PROJECT["scripts"]
    assert int(by_name["USER"]) > 0


@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore"])
def test_image_files_name_no_registry(name: str) -> None:
    assert not re.search(r"\w+\.(io|com|org|dev)\b", (ROOT / name).read_text())
