"""The report of a run: which parts it has, in which order."""

from __future__ import annotations

from descend.data.token_store import TokenStore
from descend.handbook.checklist import answer_checklist
from descend.handbook.run_notes.diagnosis_notes import load_saved_diagnosis
from descend.report.html.model_inspection import ModelInspection, look, open_text
from descend.report.html.report_page import ReportPage, Section
from descend.report.html.sections import summary
from descend.report.html.sections.attention_heads import attention_section
from descend.report.html.sections.checklist_table import checklist_section
from descend.report.html.sections.corpus_tokens import corpus_section
from descend.report.html.sections.diagnosis_findings import diagnosis_section
from descend.report.html.sections.learning_curves import learning_curve, learning_curves_section
from descend.report.html.sections.optimization import optimization_section
from descend.report.html.sections.requested_config import config_section, repeat_section
from descend.report.html.sections.samples import samples_section
from descend.report.html.sections.token_loss import token_loss_section
from descend.runs.recorded_run import RecordedRun


def run_report(run: RecordedRun) -> ReportPage:
    """Return all that can be said of `run`, which has finished an epoch, and of what cannot be,
    why."""
    folder = run.folder
    warnings: list[str] = []
    opened = open_text(run)
    store = opened if isinstance(opened, TokenStore) else None
    inspection = look(run, store) if store is not None else None
    warnings += [x for x in (opened, inspection) if isinstance(x, str)]
    warnings += run.event_problems
    diagnosed = load_saved_diagnosis(folder)
    sections = [
        diagnosis_section(diagnosed) if diagnosed else None,
        samples_section(run),
        summary.ngram_baselines_section(run),
        learning_curves_section(run),
        *(_model_sections(inspection) if isinstance(inspection, ModelInspection) else ()),
        checklist_section(answer_checklist(folder)),
        corpus_section(run, store),
        optimization_section(run),
        config_section(run.metadata, folder),
        repeat_section(run, run.summary.samples),
    ]
    return ReportPage(
        title=folder.resolve().name,
        subtitle=summary.subtitle(run),
        lead=summary.lead_paragraphs(run, diagnosed),
        facts=summary.facts(run),
        figure=learning_curve(run),
        sections=tuple(s for s in sections if s is not None),
        made_by=f"Report of a training run · descend {run.metadata.version}",
        warnings=tuple(warnings),
    )


def _model_sections(inspection: ModelInspection) -> tuple[Section | None, ...]:
    return token_loss_section(inspection), attention_section(inspection)
