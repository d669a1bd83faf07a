"""The library in the guide's words: `run`, `run_on_model`, `load`, and the experiments."""

from __future__ import annotations

from descend.api.experiments import (
    attribute,
    compare,
    make_attribution,
    make_comparison,
    make_search,
    search,
)
from descend.api.improving import improve
from descend.api.training import (
    Model,
    check,
    diagnose,
    load,
    measure_corpus,
    resume,
    run,
    run_on_model,
    train_further,
    train_planned,
    train_settings,
)
from descend.doctor.diagnosis import Diagnosis
from descend.lab.attribute import Attribution
from descend.lab.comparison import Comparison
from descend.lab.improvement import Improvement
from descend.lab.searched import Search
from descend.report.cards import (
    attribution_card,
    comparison_card,
    diagnosis_card,
    search_card,
)

__all__ = [
    "Attribution",
    "Comparison",
    "Diagnosis",
    "Improvement",
    "Model",
    "Search",
    "attribute",
    "check",
    "compare",
    "diagnose",
    "improve",
    "load",
    "make_attribution",
    "make_comparison",
    "make_search",
    "measure_corpus",
    "resume",
    "run",
    "run_on_model",
    "search",
    "train_further",
    "train_planned",
    "train_settings",
]

# What a notebook shows of a record: the words for it stand above the records, in `report`.
Diagnosis._repr_html_ = diagnosis_card  # type: ignore[attr-defined]
Comparison._repr_html_ = comparison_card  # type: ignore[attr-defined]
Attribution._repr_html_ = attribution_card  # type: ignore[attr-defined]
Search._repr_html_ = search_card  # type: ignore[attr-defined]
