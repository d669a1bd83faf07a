"""The golden rules as a table."""

from __future__ import annotations

from descend.handbook.checklist import Checklist
from descend.report.page import Column, Paragraph, Section, Table


def rules(found: Checklist) -> Section:
    """Each question, its answer and what it rests on."""
    rows = tuple(
        (
            a.question, a.answer,
            "tried" if a.proved else "–" if a.answer == "open" else "not all tried", a.because,
        )
        for a in found.answers
    )  # fmt: skip
    columns = (Column("question", False), Column("answer", False), Column("proof", False),
               Column("because", False))  # fmt: skip
    return Section("rules", "The golden rules", (
        Paragraph(found.sentence),
        Table("Five questions that every guide asks", columns, rows,
              strong=frozenset(n for n, a in enumerate(found.answers) if a.answer == "no")),
    ))  # fmt: skip
