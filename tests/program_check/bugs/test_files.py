"""A bug is a file: folder, tuple and page agree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import descend.program_check.bugs as folder
from descend.program_check.bug_pages import HEADINGS, load_bug_pages, parse_bug_page
from descend.program_check.bugs import BUGS

NAMES = [bug.name for bug in BUGS]


def test_the_tuple_is_the_folder() -> None:
    files = {p.stem for p in Path(folder.__file__).parent.glob("*.py")} - {"__init__"}
    assert len(NAMES) == len(set(NAMES)) == 30
    assert set(NAMES) == files


@pytest.mark.parametrize("name", NAMES)
def test_every_bug_has_its_page(name: str) -> None:
    page = load_bug_pages()[name]
    assert tuple(page.sections) == HEADINGS
    assert all(len(body.split()) >= 4 for body in page.sections.values())
    assert len(page.title.split()) <= 8


def test_explain_shows_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    from descend.cli.main import run

    assert run(["explain", "causal", "mask", "missing"]) == 0
    output = capsys.readouterr().out
    page = load_bug_pages()["causal_mask_missing"]
    assert output.startswith(f"# {page.title}")
    assert all(body in output for body in page.sections.values())
    assert all(f"## {section}\n" in output for section in HEADINGS)


def test_parse_bug_page_fails_when_a_section_is_missing() -> None:
    with pytest.raises(ValueError, match="headings in order"):
        parse_bug_page("some_bug", '"""Title.\n\nWhat it is:\n    Words.\n"""\n')


def test_bug_pages_load_without_torch_or_numpy() -> None:
    code = (
        "from descend.program_check.bug_pages import load_bug_pages as p; assert len(p()) == 30\n"
        "import sys; print(*[m for m in ('torch', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
