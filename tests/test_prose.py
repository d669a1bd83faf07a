"""The documents are plain prose: short sentences, few semicolons. See tools/count_prose.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from script_loading import load_script

ROOT = Path(__file__).parents[1]
EXCEPTIONS = ROOT / "tests" / "prose_exceptions.txt"
MAX_README_WORDS = 600
MAX_MANUAL_WORDS = 19_200
"""Of all pages in docs/ but the glossary."""


tool = load_script(ROOT / "tools" / "count_prose.py")


def read_exceptions() -> dict[str, tuple[int, float, float]]:
    """Long sentences, mean words, and semicolons per 100 that a file still has, by its path."""
    lines = EXCEPTIONS.read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return {path: (int(a), float(b), float(c)) for path, a, b, c in rows}


def measure(path: Path) -> tuple[int, float, float]:
    counts = tool.count_prose(path.read_text(encoding="utf-8"))
    return (
        len(counts.long_sentences),
        round(counts.mean_words, 1),
        round(counts.semicolons_per_100, 1),
    )


LIMITS = (0, tool.MAX_MEAN_WORDS, tool.MAX_SEMICOLONS)


@pytest.mark.parametrize(
    "path", tool.find_documents(), ids=lambda path: str(path.relative_to(ROOT))
)
def test_document_is_plain_prose(path: Path) -> None:
    limits = read_exceptions().get(str(path.relative_to(ROOT)), LIMITS)
    measured = measure(path)
    assert all(a <= b for a, b in zip(measured, limits, strict=True)), (measured, limits)


def test_exceptions_only_shrink() -> None:
    for name, limits in read_exceptions().items():
        measured = measure(ROOT / name)
        needed = tuple(max(a, b) for a, b in zip(measured, LIMITS, strict=True))
        assert limits == needed, f"{name} needs {needed}: lower its line, or take it off"
        assert needed != LIMITS, f"{name} needs no exception: take it off"


def test_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert tool.count_document_words(text) <= MAX_README_WORDS


def test_manual_is_short() -> None:
    pages = [path for path in (ROOT / "docs").glob("*.md") if path.name != "glossary.md"]
    texts = (path.read_text(encoding="utf-8") for path in pages)
    assert sum(map(tool.count_document_words, texts)) <= MAX_MANUAL_WORDS


def test_count_prose_leaves_code_and_tables_out() -> None:
    text = "# A title; here\n\n```\na; b; c.\n```\n\n| a; | b |\n|---|---|\n\nOne `a; b` two.\n"
    counts = tool.count_prose(text)
    assert (counts.sentences, counts.words, counts.semicolons) == (1, 3, 0)


def test_count_prose_ends_a_sentence_with_each_list_item() -> None:
    counts = tool.count_prose("First one. Second; one\n- third\n  one\n- fourth [one](a.md)\n")
    assert (counts.sentences, counts.words, counts.semicolons) == (4, 8, 1)


def test_count_prose_names_long_sentences() -> None:
    long = " ".join(["Word"] * (tool.MAX_SENTENCE_WORDS + 1)) + "."
    assert tool.count_prose(f"Short one. {long}\n").long_sentences == (long,)
