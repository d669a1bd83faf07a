"""The library in the guide's words: `run`, `run_on_model`, `load`, and the experiments."""

from __future__ import annotations

from descend.api.check_program import check
from descend.api.experiments import (
    attribute,
    compare,
    run_attribution,
    run_comparison,
    run_search,
    search,
)
from descend.api.improvement import improve
from descend.api.model import Model, load
from descend.api.planned_training import train_plan
from descend.api.show_report import show
from descend.api.training import (
    continue_run,
    diagnose,
    measure_corpus,
    resume,
    run,
    run_on_model,
    train_with_config,
)
from descend.diagnosis.diagnosis_result import Diagnosis
from descend.experiments.attribute.attribution_result import Attribution
from descend.experiments.compare.comparison_result import Comparison
from descend.experiments.improvement import Improvement
from descend.experiments.search.search_result import SearchResult
from descend.report.notebook.representations import add_representations

__all__ = [
    "Attribution",
    "Comparison",
    "Diagnosis",
    "Improvement",
    "Model",
    "SearchResult",
    "attribute",
    "check",
    "compare",
    "continue_run",
    "diagnose",
    "improve",
    "load",
    "measure_corpus",
    "resume",
    "run",
    "run_attribution",
    "run_comparison",
    "run_on_model",
    "run_search",
    "search",
    "show",
    "train_plan",
    "train_with_config",
]

add_representations()
