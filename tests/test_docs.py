"""The documentation against the code that it speaks of."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

import descend
from descend.cli.main import app
from descend.version import __version__

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
ANYWHERE = {"--debug"}


def command_lines(page: Path) -> Iterator[list[str]]:
    """The words of each `descend …` in a code block or between backticks, comments left out."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [x for kind, block in blocks if kind in ("", "sh") for x in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", text)
    for line in lines:
        line = line.strip().removeprefix("$ ")
        if line.startswith("descend ") and "…" not in line:
            yield shlex.split(line.split("  ")[0], comments=True)[1:]


def unknown_flags(words: list[str]) -> list[str]:
    """Those flags of a command line that its verb does not have; the verb itself, if there is
    none of that name."""
    command: Any = get_command(app)
    while words and hasattr(command, "commands"):
        if words[0].startswith("-"):
            break
        if words[0] not in command.commands:
            return [words[0]]
        command, words = command.commands[words[0]], words[1:]
    known = {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}
    known |= {"--help", "-h"} | ANYWHERE
    words = words[: words.index("--")] if "--" in words else words  # the rest is a program's
    return [w for w in words if re.match(r"--?[a-z]", w) and w.split("=")[0] not in known]


def test_unknown_flags_are_noticed() -> None:
    assert unknown_flags(["train", "my/texts", "--epoch", "3"]) == []
    assert unknown_flags(["train", "--epoch", "3", "--epoc"]) == ["--epoc"]
    assert unknown_flags(["corpus", "stats", "x", "--seed", "1", "--vary", "1"]) == ["--vary"]
    assert unknown_flags(["check", "x.py", "--timeot", "1", "--", "--lr", "1"]) == ["--timeot"]
    assert unknown_flags(["frobnicate"]) == ["frobnicate"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_documented_commands_and_flags_exist(page: Path) -> None:
    wrong = {" ".join(words): bad for words in command_lines(page) if (bad := unknown_flags(words))}
    assert wrong == {}


def test_the_readme_shows_commands() -> None:
    assert len(list(command_lines(ROOT / "README.md"))) > 15


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_page_can_be_reached_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    reached = set(re.findall(r"\]\((docs/[^)#\s]+)\)", text))
    for page in (ROOT / "docs").glob("*.md"):
        linked = any(f"({page.name})" in (ROOT / at).read_text(encoding="utf-8") for at in reached)
        assert f"docs/{page.name}" in reached or linked, page.name


def test_the_examples_of_the_readme_are_python() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        compile(block, "README.md", "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_cited_result_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    cited = set(re.findall(r"benchmarks/results(?:/[\w.-]*\w)*/?", text))
    assert {path for path in cited if not (ROOT / path).exists()} == set()


ANSWER_PATTERN = re.compile(
    r"`benchmarks/results/(ranges/\w+\.json)`[^`]*```\n(.*?)^```", re.DOTALL | re.MULTILINE
)


def test_quoted_diagnoses_have_the_numbers_of_stored_results() -> None:
    quotes = ANSWER_PATTERN.findall((ROOT / "docs" / "diagnose.md").read_text(encoding="utf-8"))
    assert quotes
    for name, quoted in quotes:
        file = ROOT / "benchmarks" / "results" / name
        stored = json.loads(file.read_text(encoding="utf-8"))["shown"]
        numbers = re.findall(r"\d+(?:\.\d+)?", quoted)
        assert len(numbers) > 5
        assert set(numbers) <= set(re.findall(r"\d+(?:\.\d+)?", stored)), name


def title_anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    titles = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.strip().replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_to_headings(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            other = (page.parent / target) if target else page
            assert anchor in title_anchors(other), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_named_source_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    names = set(re.findall(r"`((?:src|tests|docs|benchmarks|tools)/[\w./-]+\.\w+)", text))
    names |= {
        f"src/descend/{name}"
        for name in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", text)
        if not name.startswith(("src/", "tests/", "benchmarks/", "tools/"))
    }
    assert {name for name in names if not (ROOT / name).exists()} == set()
    tests = re.findall(r"`(test_\w+\.py)`", text)
    assert [name for name in tests if not (ROOT / "tests" / "reliability" / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_named_scripts_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"python3? ((?:benchmarks|tools|examples)/[\w/]+\.py)", text))
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_readme_names_every_verb() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("## Commands")[2]
    command: Any = get_command(app)
    verbs = {name for name, verb in command.commands.items() if not verb.hidden}
    assert {verb for verb in verbs if f"`{verb}`" not in table} == set()


def test_api_page_names_every_public_name() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == set(descend.__all__) - {"__version__"}


def test_citation_names_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


def test_repository_yaml_files_are_valid() -> None:
    files = [*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml"]
    assert len(files) > 4
    for file in files:
        assert yaml.safe_load(file.read_text(encoding="utf-8")), file.name


def test_workflow_runs_every_supported_python() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    matrix = workflow["jobs"]["fast"]["strategy"]["matrix"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = {c.rpartition(":: ")[2] for c in project["classifiers"] if ":: Python :: 3." in c}
    assert listed <= set(matrix["python"])
