"""What a check of fine-tuning data comes to. Nothing heavy is imported here."""

from __future__ import annotations

from typing import Literal

import msgspec

EXIT_CLEAN, EXIT_PROBLEM, EXIT_NOT_CHECKED = 0, 1, 3
"""Exit codes, as those of a check of a program; 2 is the user's mistake."""

ProblemName = Literal[
    "unreadable_lines", "labels_all_masked", "template_markers_missing", "end_token_missing",
    "truncated_answers", "duplicates", "train_in_validation", "length_outliers", "mixed_roles",
    "empty_answers", "damaged_characters", "contradicting_answers", "uniform_answers",
    "few_examples",
]  # fmt: skip


class DataProblem(msgspec.Struct, frozen=True):
    """Something wrong with examples of the data."""

    problem: ProblemName
    evidence: str
    """What was found, with an example."""
    lines: list[int]
    """All lines concerned, from 1 on. In a JSON list, the numbers of the elements."""
    fix: str


class ProblemNotChecked(msgspec.Struct, frozen=True):
    """A problem that could not be looked for."""

    problem: ProblemName
    why: str


class DataCheck(msgspec.Struct, frozen=True):
    """Every problem stands in one of the four lists, those of several kinds more than once."""

    file: str
    num_examples: int
    problems: list[DataProblem]
    checked: list[ProblemName]
    """Problems that were looked for and are not there."""
    not_checked: list[ProblemNotChecked]
    remarks: list[DataProblem] = []
    """What may be a problem, and may be meant so."""
    number: Literal["line", "example"] = "line"
    """What the numbers in `lines` count; in a JSON list, the examples."""

    @property
    def exit_code(self) -> int:
        """What the command line ends with."""
        if self.problems:
            return EXIT_PROBLEM
        num_applied = len(self.checked) + len({remark.problem for remark in self.remarks})
        return EXIT_CLEAN if num_applied > len(self.not_checked) else EXIT_NOT_CHECKED
