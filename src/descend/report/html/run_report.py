"""The report of a run: which parts it has, in which order."""

from __future__ import annotations

from pathlib import Path

from descend.data.token_store import TokenStore
from descend.handbook.checklist import answer_checklist
from descend.handbook.run_notes.diagnosis_notes import load_saved_diagnosis
from descend.report.html.model_inspection import ModelInspection, look, open_text
from descend.report.html.page import ReportPage, Section
from descend.report.html.sections import summary
from descend.report.html.sections.attention import attention_section
from descend.report.html.sections.checklist import checklist_section
from descend.report.html.sections.config import config_section, repeat_section
from descend.report.html.sections.corpus import corpus_section
from descend.report.html.sections.diagnosis import diagnosis_section
from descend.report.html.sections.learning_curves import learning_curves_section
from descend.report.html.sections.optimization import optimization_section
from descend.report.html.sections.samples import samples_section
from descend.report.html.sections.token_loss import token_loss_section
from descend.runs.recorded_run import open_run_with_epoch


def run_report(folder: Path) -> ReportPage:
    """All that can be said of the run in `folder`, and of what cannot be said, why.

    `RunFolderError` if it is no run, or has not finished an epoch.
    """
    run = open_run_with_epoch(folder)
    warnings: list[str] = []
    opened = open_text(run)
    store = opened if isinstance(opened, TokenStore) else None
    inspection = look(run, store) if store is not None else None
    warnings += [x for x in (opened, inspection) if isinstance(x, str)]
    diagnosed = load_saved_diagnosis(folder)
    sections = [
        diagnosis_section(diagnosed) if diagnosed else None,
        checklist_section(answer_checklist(folder)),
        summary.ngram_baselines_section(run),
        learning_curves_section(run),
        samples_section(run),
        *(_model_sections(inspection) if isinstance(inspection, ModelInspection) else ()),
        corpus_section(run, store),
        optimization_section(run),
        config_section(run.metadata, folder),
        repeat_section(run.metadata, folder, run.summary.samples),
    ]
    return ReportPage(
        title=folder.resolve().name,
        subtitle=summary.subtitle(run),
        lead=summary.lead_paragraphs(run, diagnosed),
        facts=summary.facts(run),
        sections=tuple(s for s in sections if s is not None),
        made_by=f"Report of a training run · descend {run.metadata.version}",
        warnings=tuple(warnings),
    )


def _model_sections(inspection: ModelInspection) -> tuple[Section | None, ...]:
    return token_loss_section(inspection), attention_section(inspection)
