"""`descend check` from the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pieces import source, swap

Descend = Callable[..., Any]
SLOW = pytest.mark.slow

FORGOTTEN = swap("step", ("    optimizer.zero_grad()\n", '    print("training")\n'))


@pytest.fixture
def program(own_folder: Path) -> Callable[[dict[str, str]], str]:
    """Write a program where the test stands; its path."""

    def write(pieces: dict[str, str]) -> str:
        (own_folder / "mine.py").write_text(source(pieces), encoding="utf-8")
        return "mine.py"

    return write


def test_check_command_reports_bug_json_and_exits_one(descend: Descend, program: Any) -> None:
    done = descend("check", program(FORGOTTEN), "--json")
    assert done.code == 1
    assert done.out.count("\n") == 1
    report = json.loads(done.out)
    assert set(report) == {
        "schema_version", "program", "bugs", "remarks", "checked", "not_checked", "not_covered",
        "ended",
    }  # fmt: skip
    (bug,) = report["bugs"]
    assert set(bug) == {"bug", "evidence", "where", "fix"}
    assert bug["bug"] == "gradients_not_zeroed"
    assert bug["where"].startswith("mine.py:")
    line = int(bug["where"].split(":")[1].split()[0])
    assert Path("mine.py").read_text().splitlines()[line - 1] == "def step(batch):"
    assert all(set(n) == {"bug", "why", "applies"} for n in report["not_checked"])


def without_progress(error_output: str) -> str:
    """Standard error without the lines that a slow machine gets every five seconds."""
    progress = re.compile(r".* \(\d+ s of at most \d+ s\)\n")
    return progress.sub("", error_output)


def test_in_words(descend: Descend, program: Any) -> None:
    done = descend("check", program(FORGOTTEN))
    assert done.code == 1
    assert without_progress(done.err) == ""
    assert done.out.startswith("mine.py: 1 bug found\n\ngradients_not_zeroed\n")
    assert "descend explain gradients_not_zeroed" in done.out


def test_check_command_exits_zero_for_correct_dotted_module(descend: Descend, program: Any) -> None:
    program({})
    done = descend("check", "mine")
    assert done.code == 0
    assert without_progress(done.err) == ""
    assert done.out.startswith("mine: no bug found")
    assert "Not checked" in done.out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        ("def broken(:\n", "SyntaxError"),
        pytest.param("import nothing_of_that_name\n", "ModuleNotFoundError", marks=SLOW),
        ("net = 1\n", "no `model`"),
        pytest.param("model = 'gpt2'\n", "str", marks=SLOW),
    ],
)
def test_check_command_rejects_invalid_program_with_exit_two(
    descend: Descend, own_folder: Path, content: str | None, words: str
) -> None:
    if content is not None:
        (own_folder / "odd.py").write_text(content)
    done = descend("check", "odd.py")
    assert (done.code, done.out) == (2, "")
    assert without_progress(done.err).count("\n") == 1
    assert words in done.err


@pytest.mark.parametrize(("name", "words"), [
    ("c.toml", "c.toml: expected a Python file, which ends in .py, but found a file"),
    ("program", "program: expected a Python file, which ends in .py, but found a file without"
     " ending."),
])  # fmt: skip
def test_check_command_reports_non_python_file(
    descend: Descend, own_folder: Path, name: str, words: str
) -> None:
    (own_folder / name).write_text("embed_dim = 3\n")
    done = descend("check", name)
    assert (done.code, done.out) == (2, "")
    assert without_progress(done.err).startswith(f"error: {words}")
    assert f"run `descend corpus stats {name}` for a text" in done.err


def test_check_command_names_the_command_for_a_run_folder(descend: Descend, trained: Path) -> None:
    done = descend("check", trained)
    assert done.code == 2
    assert f"found a run folder. Fix: Run `descend diagnose {trained}`." in done.err


@pytest.mark.parametrize("texts", [("a.txt", "b.jsonl"), ()])
def test_check_command_names_commands_for_texts_when_module_is_a_folder(
    descend: Descend, own_folder: Path, texts: tuple[str, ...]
) -> None:
    (own_folder / "my texts").mkdir()
    for name in texts:
        (own_folder / "my texts" / name).write_text("Some text.\n")
    done = descend("check", "my texts")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: my texts: expected a Python program or a file of fine-tuning data, but found a "
        "folder without Python files. Fix: For a folder of texts, run `descend corpus stats "
        "'my texts'` or `descend train 'my texts'`.\n"
    )


@SLOW
def test_an_error_without_words_is_named_alone(descend: Descend, own_folder: Path) -> None:
    (own_folder / "odd.py").write_text("assert False\n")
    error = without_progress(descend("check", "odd.py").err)
    assert "one that fails before (AssertionError at line 1). Fix:" in error
