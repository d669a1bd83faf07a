"""What results show of themselves: one line in Python, a small card in a notebook."""

from __future__ import annotations

from descend.diagnosis.diagnosis_result import Diagnosis
from descend.experiments.attribute.attribution_result import Attribution
from descend.experiments.compare.comparison_result import Comparison
from descend.experiments.improvement import Improvement
from descend.experiments.search.search_result import SearchResult
from descend.metrics.evaluation import Evaluation
from descend.program_check.bug_report import Checked
from descend.report.notebook.cards import (
    attribution_card,
    comparison_card,
    diagnosis_card,
    result_card,
    search_card,
)
from descend.report.text.check_summary import format_check_report
from descend.report.text.diagnosis_summary import headline
from descend.report.text.evaluation_summary import describe_evaluation
from descend.report.text.improvement_summary import improvement_text
from descend.units import format_count


def describe_result(result: object) -> str:
    """Return the line that stands for `result` in Python: its class and its answer."""
    return f"{type(result).__name__}({_answer(result)})"


def _answer(result: object) -> str:
    if isinstance(result, Diagnosis):
        return f"{result.run!r}: {headline(result)}"
    if isinstance(result, Checked):
        return format_check_report(result).splitlines()[0]
    if isinstance(result, Evaluation):
        return describe_evaluation(result)
    if isinstance(result, Improvement):
        best = result.best
        models = format_count(len(result.candidates), "model")
        text = "none yet" if best is None else f"{best.run}, {best.bits_per_byte:.3f} bits/byte"
        return f"{models}, best: {text}"
    return str(getattr(result, "sentence", "")) or "no answer yet"


def evaluation_card(evaluation: Evaluation) -> str:
    """Return an evaluation as HTML."""
    return result_card("Evaluation", [describe_evaluation(evaluation)])


def check_card(checked: Checked) -> str:
    """Return the check of a program as HTML."""
    first, *others = format_check_report(checked).splitlines()
    return result_card("Check", [first, *(line for line in others if line.strip())])


def improvement_card(improvement: Improvement) -> str:
    """Return an improvement as HTML."""
    lines = [line for line in improvement_text(improvement).splitlines() if line.strip()]
    return result_card("Improvement", lines)


def add_representations() -> None:
    """Give the classes of results their line and their card.

    The words for them stand above the records, in `report`.
    """
    cards = {
        Diagnosis: diagnosis_card,
        Comparison: comparison_card,
        Attribution: attribution_card,
        SearchResult: search_card,
        Evaluation: evaluation_card,
        Checked: check_card,
        Improvement: improvement_card,
    }
    for kind, card in cards.items():
        kind.__repr__ = describe_result  # type: ignore[method-assign,assignment]
        kind._repr_html_ = card  # type: ignore[attr-defined]
