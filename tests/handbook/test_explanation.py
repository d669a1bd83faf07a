"""`descend explain` from the command line to what it prints."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from descend.handbook.page import GROUPS, HEADINGS, load_markdown_pages
from descend.handbook.page_lookup import load_all_pages

Explain = Callable[..., Any]

KEYS = {"schema_version", "name", "title", "group", "see_also", "sections", "text"}


def test_alone_it_lists_every_page_by_group(explain: Explain) -> None:
    done = explain()
    assert (done.code, done.err) == (0, "")
    places = [done.out.index(f"## {group}\n") for group in GROUPS]
    assert places == sorted(places)
    for page in load_markdown_pages().values():
        assert f"- `{page.name}`: {page.title}\n" in done.out


def test_explain_prints_plain_markdown_without_terminal(explain: Explain) -> None:
    done = explain("learning", "rate")
    assert done.code == 0
    assert done.out == load_markdown_pages()["learning_rate"].text + "\n"
    assert "\x1b" not in done.out


def test_on_a_terminal_the_page_is_drawn() -> None:
    primary, secondary = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "descend", "explain", "attention"],
        stdout=secondary, stderr=subprocess.PIPE, env=os.environ | {"COLUMNS": "70"},
    ) as process:  # fmt: skip
        os.close(secondary)
        drawn = b""
        while True:
            try:
                piece = os.read(primary, 4096)
            except OSError:  # Linux's way to say that the other side is closed
                break
            if not piece:
                break
            drawn += piece
        os.close(primary)
    assert process.returncode == 0
    text = drawn.decode()
    assert "\x1b[" in text
    assert all(section in text for section in HEADINGS)
    assert "## " not in text


def test_json_has_the_page_as_data(explain: Explain) -> None:
    done = explain("top-k", "--json")
    content = json.loads(done.out)
    page = load_markdown_pages()["top_k"]
    assert set(content) == KEYS
    assert done.out.count("\n") == 1
    assert (content["name"], content["title"], content["group"]) == ("top_k", "Top-k", "Generation")
    assert list(content["sections"]) == list(HEADINGS)
    assert content["sections"] == page.sections
    assert content["text"] == page.text


def test_json_of_the_list_names_every_page(explain: Explain) -> None:
    content = json.loads(explain("--json").out)
    assert {page["name"] for page in content["pages"]} == set(load_all_pages())
    assert set(content["pages"][0]) == {"name", "title", "group"}


def test_with_a_run_its_section_comes_first(explain: Explain, trained: Path) -> None:
    done = explain("batch_size", "--run", trained)
    assert done.code == 0
    assert done.out.startswith("# Batch size\n\n## In your run\n\nYour run used `batch_size` 4.")
    assert done.out.index("## In your run") < done.out.index("## What it is")
    content = json.loads(explain("batch_size", "--run", trained, "--json").out)
    assert set(content) == KEYS | {"yours"}
    assert content["yours"] in done.out
    assert content["text"] + "\n" == done.out


def test_explain_reports_page_without_run_values(explain: Explain, trained: Path) -> None:
    assert "A run holds no number about this." in explain("temperature", "--run", trained).out
    assert json.loads(explain("temperature", "--run", trained, "--json").out)["yours"] is None


@pytest.mark.parametrize("page", load_markdown_pages())
def test_every_page_is_explained_with_a_run(explain: Explain, trained: Path, page: str) -> None:
    done = explain(page, "--run", trained)
    assert (done.code, done.err) == (0, "")


def test_explain_rejects_unknown_topic_with_exit_two(explain: Explain) -> None:
    done = explain("lerning_rate")
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "Did you mean learning_rate" in done.err


def test_explain_rejects_folder_without_run(explain: Explain, tmp_path: Path) -> None:
    done = explain("loss", "--run", tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "no run.json" in done.err


def test_a_run_without_a_page_gets_one_sentence(explain: Explain, trained: Path) -> None:
    done = explain("--run", trained)
    assert done.code == 2
    assert "the name of a page" in done.err


def test_explaining_loads_no_torch(python: Callable[[str], str], trained: Path) -> None:
    probe = (
        "\nimport sys\nprint(*[m for m in ('torch', 'numpy', 'transformers') if m in sys.modules])"
    )
    verb = "from descend.cli.main import run\nassert run(['explain', 'loss', '--run', %r]) == 0"
    assert python(verb % str(trained) + probe).splitlines()[-1] == ""
    assert "torch" in python("import torch" + probe).split()
