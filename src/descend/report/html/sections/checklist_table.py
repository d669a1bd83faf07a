"""The golden rules as a table."""

from __future__ import annotations

from collections import Counter

from descend.handbook.checklist import Checklist
from descend.report.html.report_page import Paragraph, ReportTable, Section, word_columns


def checklist_section(checklist: Checklist) -> Section:
    """Return each question, its answer and what it rests on."""
    rows = tuple(
        (
            a.question, a.answer,
            "tried" if a.is_tested else "–" if a.answer == "open" else "not all tried", a.reason,
        )
        for a in checklist.answers
    )  # fmt: skip
    columns = word_columns("question", "answer", "proof", "because")
    counts = Counter(a.answer for a in checklist.answers)
    return Section("rules", "Checklist", (
        Paragraph(checklist.sentence),
        ReportTable("Five standard checks", columns, rows,
              strong=frozenset(n for n, a in enumerate(checklist.answers) if a.answer == "no")),
    ), teaser=", ".join(f"{count} {answer}" for answer, count in counts.items()))  # fmt: skip
