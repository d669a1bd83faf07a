"""Labels beside texts and answers: those that contradict each other, and those all the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from descend.data_check.example_file import Example
from descend.data_check.problem_report import DataProblem
from descend.data_check.problems.text_problems import fingerprint
from descend.units import format_count

MIN_LABELS = 5
"""Fewer are too few to call all of them the same."""
MAX_SAME_LABEL = 0.95
"""Of all labels. Classes are often unequal: at this share a model need not read the text."""
MAX_SEVERAL = 0.5
"""Of the texts: where more have several labels, a text is meant to have several."""


def contradicting_labels(
    examples: Sequence[Example],
) -> tuple[list[DataProblem], list[DataProblem]]:
    """Return equal texts and answers with different labels: a problem, or a warning where a text
    seems to have several on purpose."""
    by_content: dict[bytes, list[Example]] = defaultdict(list)
    for example in _labeled(examples):
        by_content[fingerprint(example, prompt_only=False)].append(example)
    opposed = [same for same in by_content.values() if len({e.label for e in same}) > 1]
    if not opposed:
        return [], []
    same = opposed[0]
    other = next(e for e in same if e.label != same[0].label)
    is_answer = bool(same[0].turns)
    what = "the same answer to the same prompt" if is_answer else "the same text"
    several = format_count(len(opposed), "answer" if is_answer else "text")
    problem = DataProblem(
        "contradicting_answers",
        f"{several} with different labels: {what} is {_spell(same[0])} and {_spell(other)}",
        sorted(e.line for group in opposed for e in group),
        "leave one label to each, the right one",
    )
    is_intended = not is_answer and len(opposed) > MAX_SEVERAL * len(by_content)
    return ([], [problem]) if is_intended else ([problem], [])


def uniform_labels(examples: Sequence[Example]) -> tuple[list[DataProblem], list[DataProblem]]:
    """Return the label that all or nearly all examples have: a problem, or a warning."""
    labeled = _labeled(examples)
    if len(labeled) < MIN_LABELS:
        return [], []
    # A number and a truth value that are equal are one label only where they stand alike.
    counts = Counter(_spell(example) for example in labeled)
    label, count = counts.most_common(1)[0]
    if count < MAX_SAME_LABEL * len(labeled):
        return [], []
    whole = "all" if count == len(labeled) else f"{format_count(count, 'label')} of"
    problem = DataProblem(
        "uniform_answers",
        f"{whole} {len(labeled)} labels are {label}, so that there is nothing to tell apart",
        [e.line for e in labeled if _spell(e) == label],
        "add examples with the other labels",
    )
    # A word that stands everywhere may be the origin of the texts, a number a rating.
    first = labeled[0]
    is_sure = isinstance(first.label, bool) or not (first.turns or isinstance(first.label, str))
    is_sure = is_sure and count == len(labeled)
    return ([problem], []) if is_sure else ([], [problem])


def _labeled(examples: Sequence[Example]) -> list[Example]:
    return [example for example in examples if example.label is not None]


def _spell(example: Example) -> str:
    label = example.label
    return f"“{label[:40]}”" if isinstance(label, str) else str(label).lower()
