"""Results in Python and in a notebook: a line, a card; a mistake is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from descend import DescendError, load, run
from descend.diagnosis.diagnosis_result import Cost, Diagnosis
from descend.program_check.bug_report import Checked


def test_evaluation_is_a_sentence(trained: Path, text_file: Path) -> None:
    evaluation = load(trained).evaluate(text_file)
    assert repr(evaluation).startswith("Evaluation(The model predicts ")
    assert "bits per byte" in evaluation._repr_html_()  # type: ignore[attr-defined]
    assert "\n" not in repr(evaluation)


def test_results_are_short_in_python() -> None:
    diagnosis = Diagnosis(
        run="models/a", verdict="healthy", probability=0.9, causes=[], ruled_out=[],
        measurements=[], warnings=[], cost=Cost(1.0, 0.1),
    )  # fmt: skip
    assert repr(diagnosis).startswith("Diagnosis('models/a': ")
    checked = Checked("program", [], [], ["gradients_not_zeroed"], [])
    assert repr(checked) == "Checked(program: no bug found)"
    for result in (diagnosis, checked):
        assert len(repr(result)) < 300
        assert "<" in result._repr_html_()  # type: ignore[union-attr]


def test_error_renders_as_one_sentence_unless_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DescendError) as caught:
        run(corpus_dir="nowhere")
    (line,) = caught.value._render_traceback_()
    assert line.startswith("CorpusError: nowhere: expected ")
    monkeypatch.setenv("DESCEND_DEBUG", "1")
    assert "Traceback" in caught.value._render_traceback_()[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_mistake_in_a_notebook_shows_no_frames(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("IPYTHONDIR", str(own_folder / "ipython"))
    book = nbformat.v4.new_notebook()
    book.cells = [
        nbformat.v4.new_code_cell("from descend import run\nrun(embed_dmi=64)"),
        nbformat.v4.new_code_cell("1 / 0"),
    ]
    NotebookClient(
        book, timeout=120, kernel_name="python3", allow_errors=True,
        resources={"metadata": {"path": str(own_folder)}},
    ).execute()  # fmt: skip
    (mistake,) = book.cells[0].outputs
    (line,) = mistake.traceback
    assert "Did you mean embed_dim?" in line
    assert len(book.cells[1].outputs[0].traceback) > 1  # errors of Python keep their frames
