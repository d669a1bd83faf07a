"""Names in the code follow docs/glossary.md."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXCEPTIONS = Path(__file__).with_name("glossary_exceptions.txt")


def read_banned_words() -> set[str]:
    """The first column of the table under "Banned identifiers"."""
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    section = page.split("## Banned identifiers", 1)[1].split("\n## ", 1)[0]
    return set(re.findall(r"^\| ([a-z]+) \|", section, re.MULTILINE)) - {"word"}


def split_name(name: str) -> list[str]:
    """The words of a name: `TrialSpec` and `trial_spec` both give trial, spec."""
    return [w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def defined_names(tree: ast.AST) -> Iterator[str]:
    """Names that a module defines: functions, classes, parameters, variables, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def banned_names() -> set[str]:
    """`path: name` for each defined name with a banned word."""
    banned = read_banned_words()
    names = set()
    for folder in ("src", "tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for name in defined_names(ast.parse(path.read_text(encoding="utf-8"))):
                if banned & set(split_name(name)):
                    names.add(f"{path.relative_to(ROOT).as_posix()}: {name}")
    return names


def test_glossary_notices_a_banned_name() -> None:
    assert {"found", "lane", "rescue"} <= read_banned_words()
    names = set(defined_names(ast.parse("def told(most_lanes):\n    self.found = seen = 1")))
    assert names == {"told", "most_lanes", "found", "seen"}
    assert split_name("MostLanes") == split_name("MOST_LANES") == ["most", "lanes"]


def test_no_name_is_banned_beyond_the_exceptions() -> None:
    exceptions = set(EXCEPTIONS.read_text(encoding="utf-8").splitlines())
    names = banned_names()
    assert names - exceptions == set(), "rename these; docs/glossary.md has the word"
    assert exceptions - names == set(), "these are gone: take them off the list"


def read_banned_phrases() -> set[str]:
    """The first column of the table under "Banned in text"."""
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    section = page.split("## Banned in text", 1)[1].split("\n## ", 1)[0]
    return set(re.findall(r"^\| ([a-z -]+) \|", section, re.MULTILINE)) - {"phrase"}


def banned_phrases_in(source: str, phrases: set[str]) -> set[str]:
    """Phrases that the docstrings, comments, and other strings of `source` contain."""
    pattern = r"(?<![\w./_-])(?:" + "|".join(map(re.escape, sorted(phrases))) + r")(?![\w_-])"
    if not re.search(pattern, " ".join(re.sub(r"`[^`\n]*`", "", source).lower().split())):
        return set()  # reading tokens takes seconds
    # Python 3.12 cuts an f-string into tokens of its own.
    kinds = (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    texts = (re.sub(r"`[^`\n]*`", "", t.string) for t in tokens if t.type in kinds)
    words = " ".join("\n".join(texts).lower().split())
    return set(re.findall(pattern, words))


def test_text_check_notices_a_banned_phrase() -> None:
    source = '"""Learned by\n    heart."""\nx = f"the remedy of {x}"  # not `rescue`: lanes'
    phrases = {"by heart", "remedy", "rescue", "lanes"}
    assert phrases <= read_banned_phrases()
    assert banned_phrases_in(source, phrases) == {"by heart", "remedy", "lanes"}


def test_no_text_in_the_code_has_a_banned_phrase() -> None:
    phrases = read_banned_phrases()
    texts = {p: p.read_text(encoding="utf-8") for p in sorted((ROOT / "src").rglob("*.py"))}
    banned = {
        path.relative_to(ROOT).as_posix(): words
        for path, text in texts.items()
        if (words := banned_phrases_in(text, phrases))
    }
    assert not banned, "write these as docs/glossary.md has them"
