"""The versions that we install lie behind published advisories: one floor a row."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).parents[1]

FLOORS = {
    "torch": ("2.10", "CVE-2026-24747"),
    "starlette": ("1.3.1", "GHSA-7f5h-v6xp-fcq8"),
    "python-multipart": ("0.0.27", "CVE-2026-42561"),
    "pyarrow": ("26", "CVE-2026-92287"),
    "ray": ("2.53", "CVE-2026-27482"),
    "h11": ("0.16", "CVE-2025-43859"),
    "jinja2": ("3.1.6", "CVE-2025-27516"),
    "requests": ("2.32.4", "CVE-2024-47081"),
    "urllib3": ("2.6", "CVE-2025-66418"),
}
"""First version that is behind the advisory, by the name of a package."""


def read_constraints() -> dict[str, Version]:
    """The version of each package of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if "==" in line]
    return {name.lower(): Version(version.split(";")[0].strip()) for name, version in pairs}


@pytest.mark.parametrize("package", FLOORS)
def test_constraint_lies_behind_the_known_advisory(package: str) -> None:
    floor, advisory = FLOORS[package]
    versions = read_constraints()
    assert package in versions, f"{package} is no longer used: take its row out"
    assert versions[package] >= Version(floor), advisory


def test_every_constraint_names_one_version() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    named = [line for line in lines if line.strip() and not line.startswith("#")]
    assert len(named) > 100
    assert all("==" in line for line in named)


def read_lock() -> dict[str, tuple[Version, str]]:
    """The version of each package of requirements.lock, and the lines of its hashes."""
    content = (ROOT / "requirements.lock").read_text()
    blocks = re.findall(r"^([\w.-]+)==([^\s;]+)([^\n]*(?:\n    [^\n]*)*)", content, re.MULTILINE)
    return {normalize(name): (Version(version), rest) for name, version, rest in blocks}


def normalize(name: str) -> str:
    """The name of a package as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_locked_packages_have_hashes_and_the_versions_of_the_constraints() -> None:
    content = (ROOT / "requirements.lock").read_text()
    locked = read_lock()
    assert len(locked) == len(re.findall("^[^ #]", content, re.MULTILINE)) > 50
    for name, (_, lines) in locked.items():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", lines), name
    versions = {normalize(name): version for name, version in read_constraints().items()}
    others = {n for n, (version, _) in locked.items() if versions.get(n, version) != version}
    assert not others, "run `make lock`"
    assert "://" not in content


def test_lock_names_each_package_that_descend_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[<>=;\[ ]", line)[0] for line in project["dependencies"]}
    assert {normalize(name) for name in needed} <= set(read_lock())
