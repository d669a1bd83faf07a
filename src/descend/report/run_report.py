"""The report of a run: which parts it has, in which order."""

from __future__ import annotations

from pathlib import Path

from descend.handbook.checklist import answer_checklist
from descend.handbook.yours import read_run
from descend.handbook.yours.found import load_saved_diagnosis
from descend.report.look import ModelInspection, look, open_text
from descend.report.page import ReportPage, Section
from descend.report.parts import outcome
from descend.report.parts.attention import attention_section
from descend.report.parts.corpus import corpus_section
from descend.report.parts.diagnosis import diagnosis_section
from descend.report.parts.inside import optimization_section
from descend.report.parts.learning import learning_curves_section
from descend.report.parts.rules import checklist_section
from descend.report.parts.settings import repeat_section, config_section
from descend.report.parts.surprise import token_loss_section
from descend.report.parts.writing import samples_section
from descend.text.store import TokenStore


def run_report(folder: Path) -> ReportPage:
    """All that can be said of the run in `folder`, and of what cannot be said, why.

    `RunFolderError` if it is no run, or has not finished an epoch.
    """
    run = read_run(folder)
    warnings: list[str] = []
    opened = open_text(run)
    store = opened if isinstance(opened, TokenStore) else None
    inspection = look(run, store) if store is not None else None
    warnings += [x for x in (opened, inspection) if isinstance(x, str)]
    diagnosed = load_saved_diagnosis(folder)
    sections = [
        diagnosis_section(diagnosed) if diagnosed else None,
        checklist_section(answer_checklist(folder)),
        outcome.ngram_baselines_section(run),
        learning_curves_section(run),
        samples_section(run),
        *(_model_sections(inspection) if isinstance(inspection, ModelInspection) else ()),
        corpus_section(run, store),
        optimization_section(run),
        config_section(run.info, folder),
        repeat_section(run.info, folder, run.summary.samples),
    ]
    return ReportPage(
        title=folder.resolve().name,
        subtitle=outcome.subtitle(run),
        lead=outcome.lead_paragraphs(run, diagnosed),
        facts=outcome.facts(run),
        sections=tuple(s for s in sections if s is not None),
        made_by=f"Report of a training run · descend {run.info.version}",
        warnings=tuple(warnings),
    )


def _model_sections(inspection: ModelInspection) -> tuple[Section | None, ...]:
    return token_loss_section(inspection), attention_section(inspection)
