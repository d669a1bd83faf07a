"""Labels of texts and of answers are read: contradictions and a single label are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from descend.data_check.check_data import check_data
from descend.data_check.problem_report import DataCheck

WORDS = ["river", "stone", "lamp", "garden", "winter", "letter", "window", "harbor"]


def check_rows(folder: Path, rows: list[dict[str, Any]]) -> DataCheck:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return check_data(file)


def labeled_texts(*labels: Any) -> list[dict[str, Any]]:
    return [
        {"text": f"The {WORDS[n % 8]} and the {WORDS[n // 8]} {n}.",
         "label": labels[n % len(labels)]}
        for n in range(60)
    ]  # fmt: skip


def rated_answers() -> list[dict[str, Any]]:
    return [
        {"prompt": f"What is a {WORDS[n % 8]} of kind {n}?", "label": n % 2 == 0,
         "completion": f"The {WORDS[n % 8]} number {n} stands beside the {WORDS[n // 8]}."}
        for n in range(60)
    ]  # fmt: skip


def problem_names(check: DataCheck) -> set[str]:
    return {problem.problem for problem in check.problems}


def test_opposite_ratings_of_one_answer_contradict_and_are_no_duplicates(tmp_path: Path) -> None:
    rows = rated_answers()
    assert problem_names(check_rows(tmp_path, rows)) == set()
    check = check_rows(tmp_path, [*rows, {**rows[4], "label": False}])
    assert problem_names(check) == {"contradicting_answers"}
    assert check.problems[0].lines == [5, 61]
    assert "is true and false" in check.problems[0].evidence
    assert problem_names(check_rows(tmp_path, [*rows, rows[4]])) == {"duplicates"}


def test_answers_that_are_all_rated_alike_are_named(tmp_path: Path) -> None:
    rows = [{**row, "label": True} for row in rated_answers()]
    assert "uniform_answers" in problem_names(check_rows(tmp_path, rows))


@pytest.mark.parametrize("labels", [(0, 1), ("good", "bad"), (True, False)])
def test_one_text_with_two_labels_contradicts(labels: tuple[Any, Any], tmp_path: Path) -> None:
    rows = labeled_texts(*labels)
    sound = check_rows(tmp_path, rows)
    assert problem_names(sound) == set()
    assert {"contradicting_answers", "uniform_answers"} <= set(sound.checked)
    check = check_rows(tmp_path, [*rows, {**rows[2], "label": labels[1]}])
    assert problem_names(check) == {"contradicting_answers"}
    assert check.problems[0].lines == [3, 61]


def test_texts_that_mostly_have_several_labels_are_a_warning(tmp_path: Path) -> None:
    rows = labeled_texts("sports", "politics")
    check = check_rows(tmp_path, [*rows, *({**row, "label": "music"} for row in rows)])
    assert problem_names(check) == set()
    assert "contradicting_answers" in {remark.problem for remark in check.remarks}


def test_single_label_is_named(tmp_path: Path) -> None:
    assert problem_names(check_rows(tmp_path, labeled_texts(1))) == {"uniform_answers"}
    check = check_rows(tmp_path, labeled_texts("web"))  # may be where the texts are from
    assert problem_names(check) == set()
    assert "uniform_answers" in {remark.problem for remark in check.remarks}


def test_texts_without_labels_have_nothing_to_compare(tmp_path: Path) -> None:
    check = check_rows(tmp_path, [{"text": row["text"]} for row in labeled_texts(0)])
    assert {"contradicting_answers", "uniform_answers"} <= {n.problem for n in check.not_checked}
