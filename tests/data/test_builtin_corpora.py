"""The built-in corpora: there without a download, clean, the same every time."""

from __future__ import annotations

import sys
import sysconfig
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from descend.data import builtin_corpora
from descend.data.document import Document
from descend.errors import CorpusError


@pytest.fixture(scope="module")
def python() -> list[Document]:
    return list(builtin_corpora.read_builtin_corpus("python"))


def test_python_corpus_has_expected_size_and_sources(
    python: list[Document],
) -> None:
    assert 1_000_000 < sum(len(document.text.encode()) for document in python) < 4_000_000
    named = {document.source: document.text for document in python}
    assert len(named) == len(python)
    assert 'The "assert" statement' in named["python: topics/assert"]
    assert "Generic (shallow and deep) copying operations." in named["python: copy"]
    for document in python:
        parts = document.source.removeprefix("python: ").split(".")
        assert not {"test", "tests", "idlelib", "lib2to3", "turtledemo"} & set(parts)


def test_python_corpus_has_no_duplicate_long_paragraph(python: list[Document]) -> None:
    long = Counter(
        words
        for document in python
        for paragraph in document.text.split("\n\n")
        if len(words := " ".join(paragraph.split())) >= builtin_corpora.MIN_DEDUP_PARAGRAPH_CHARS
    )
    assert len(long) > 3000
    assert max(long.values()) == 1


def test_order_and_text_are_the_same_every_time(python: list[Document]) -> None:
    again = builtin_corpora.read_builtin_corpus("python")
    assert [next(again) for _ in range(50)] == python[:50]


def test_builtin_fingerprint_tracks_sources_without_opening_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        for reading in ("open", "read_text", "read_bytes"):
            patch.setattr(Path, reading, None)  # inherited since Python 3.13
        assert builtin_corpora.corpus_fingerprint("python")
    assert builtin_corpora.corpus_fingerprint("python") == builtin_corpora.corpus_fingerprint(
        "python"
    )
    assert builtin_corpora.corpus_fingerprint("python") != builtin_corpora.corpus_fingerprint(
        "stories"
    )
    _library_at(monkeypatch, tmp_path)
    (tmp_path / "os.py").write_text('"""One."""')
    one = builtin_corpora.corpus_fingerprint("python")
    (tmp_path / "os.py").write_text('"""Other."""')
    assert builtin_corpora.corpus_fingerprint("python") != one


def _library_at(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    paths = sysconfig.get_paths() | {"stdlib": str(folder)}
    monkeypatch.setattr(sysconfig, "get_paths", lambda: paths)


SOURCE = '''
"""Module words.

{long}
"""
class A:
    """Class words."""
    def f(self):
        """Function words."""
        if self:
            async def g():
                """Inner words."""
'''


def test_docstrings_follow_source_order_without_duplicates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long = "a paragraph that is long enough to be told only once in the whole corpus, " * 4
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "hidden.py").write_text('"""' + long + '"""')
    (tmp_path / "os.py").write_text(SOURCE.format(long=long))
    (tmp_path / "_os.py").write_text(SOURCE.format(long=long))
    (tmp_path / "broken.py").write_text("def (:")
    _library_at(monkeypatch, tmp_path)
    documents = [
        d for d in builtin_corpora.read_builtin_corpus("python") if "topics" not in d.source
    ]
    assert [d.source for d in documents] == ["python: os"]
    words = "Function words.\n\nInner words.\n"
    assert documents[0].text == f"Module words.\n\n{long.strip()}\n\nClass words.\n\n{words}"


def test_a_library_in_a_zip_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    archive = tmp_path / f"python{sys.version_info[0]}{sys.version_info[1]}.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("email/__init__.py", '"""' + "Words of the zipped library. " * 20 + '"""')
        file.writestr("email/test/x.py", '"""' + "Words of a test. " * 20 + '"""')
    _library_at(monkeypatch, tmp_path / "missing")
    monkeypatch.setattr(sys, "path", [str(archive)])
    sources = [
        d.source for d in builtin_corpora.read_builtin_corpus("python") if "topics" not in d.source
    ]
    assert sources == ["python: email"]
    assert builtin_corpora.corpus_fingerprint("python")


def test_python_corpus_needs_topics_or_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _library_at(monkeypatch, tmp_path)
    assert all("topics/" in d.source for d in builtin_corpora.read_builtin_corpus("python"))
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(CorpusError, match="neither documentation topics nor sources"):
        next(builtin_corpora.read_builtin_corpus("python"))


def test_an_unknown_name_is_refused_at_once() -> None:
    with pytest.raises(CorpusError, match=r"expected .*python, stories.*, but found 'pyton'"):
        builtin_corpora.read_builtin_corpus("pyton")
    with pytest.raises(CorpusError, match="stories"):
        builtin_corpora.corpus_fingerprint("story")


def test_stories_are_about_two_megabytes() -> None:
    documents = list(builtin_corpora.read_builtin_corpus("stories"))
    assert 1_300_000 < sum(len(d.text.encode()) for d in documents) < 2_500_000
    assert documents[3].source == "stories: 3"
    assert documents == list(builtin_corpora.read_builtin_corpus("stories"))
