"""The report of a run: which parts it has, in which order."""

from __future__ import annotations

from pathlib import Path

from descend.handbook.checklist import checklist
from descend.handbook.yours import read_run
from descend.handbook.yours.found import kept_diagnosis
from descend.report.look import Look, look, open_text
from descend.report.page import Page, Section
from descend.report.parts import outcome
from descend.report.parts.attention import attention
from descend.report.parts.corpus import corpus
from descend.report.parts.diagnosis import diagnosis_section
from descend.report.parts.inside import inside
from descend.report.parts.learning import learning
from descend.report.parts.rules import rules
from descend.report.parts.settings import again, settings
from descend.report.parts.surprise import surprise
from descend.report.parts.writing import writing
from descend.text.store import TokenStore


def run_report(folder: Path) -> Page:
    """All that can be said of the run in `folder`, and of what cannot be said, why.

    `RunFolderError` if it is no run, or has not finished an epoch.
    """
    run = read_run(folder)
    notes: list[str] = []
    opened = open_text(run)
    store = opened if isinstance(opened, TokenStore) else None
    seen = look(run, store) if store is not None else None
    notes += [x for x in (opened, seen) if isinstance(x, str)]
    diagnosed = kept_diagnosis(folder)
    sections = [
        diagnosis_section(diagnosed) if diagnosed else None,
        rules(checklist(folder)),
        outcome.ladder(run),
        learning(run),
        writing(run),
        *(_seen(seen) if isinstance(seen, Look) else ()),
        corpus(run, store),
        inside(run),
        settings(run.info, folder),
        again(run.info, folder, run.summary.samples),
    ]
    return Page(
        title=folder.resolve().name,
        subtitle=outcome.subtitle(run),
        lead=outcome.lead(run, diagnosed),
        facts=outcome.facts(run),
        sections=tuple(s for s in sections if s is not None),
        made_by=f"Report of a training run · descend {run.info.version}",
        notes=tuple(notes),
    )


def _seen(seen: Look) -> tuple[Section | None, ...]:
    return surprise(seen), attention(seen)
