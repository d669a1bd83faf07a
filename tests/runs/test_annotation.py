"""Tags and notes: written, read back, and harmless when damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from descend.errors import RunFolderError
from descend.runs.annotation import RunAnnotation, read_annotation, write_annotation


def test_annotation_comes_back_clean(tmp_path: Path) -> None:
    assert read_annotation(tmp_path) == RunAnnotation()
    written = write_annotation(tmp_path, RunAnnotation([" for  class ", "best", "best", ""], " a "))
    assert written == RunAnnotation(["for class", "best"], "a")
    assert read_annotation(tmp_path) == written


def test_empty_annotation_leaves_no_file(tmp_path: Path) -> None:
    write_annotation(tmp_path, RunAnnotation(["best"]))
    write_annotation(tmp_path, RunAnnotation())
    assert list(tmp_path.iterdir()) == [tmp_path / "here"]  # the folder that the test stands in


@pytest.mark.parametrize("annotation", [
    RunAnnotation(["x"] * 1 + [str(n) for n in range(20)]), RunAnnotation(["x" * 41]),
    RunAnnotation([], "x" * 4001),
])  # fmt: skip
def test_write_annotation_refuses_what_is_too_long(
    tmp_path: Path, annotation: RunAnnotation
) -> None:
    write_annotation(tmp_path, RunAnnotation(["before"]))
    with pytest.raises(RunFolderError, match="more than fits"):
        write_annotation(tmp_path, annotation)
    assert read_annotation(tmp_path).tags == ["before"]


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"tags": 3}', b'{"note": "' + b"x" * 70_000])
def test_read_annotation_takes_damage_for_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "annotation.json").write_bytes(content)
    assert read_annotation(tmp_path) == RunAnnotation()


def test_read_annotation_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "other").write_text('{"note": "secret"}')
    (tmp_path / "annotation.json").symlink_to(tmp_path / "other")
    assert read_annotation(tmp_path) == RunAnnotation()
