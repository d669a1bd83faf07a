"""Numbers of ours in the pages: whose they are, and that they are what the files hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from descend.diagnosis import causes
from descend.diagnosis.causes import CAUSES
from descend.handbook.cause_pages import cause_and_bug_pages
from descend.handbook.metric_glossary import PAGE_METRICS
from descend.handbook.page_lookup import load_all_pages

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "benchmarks" / "results" / "ranges"
PAGES = load_all_pages()
TITLES = {"Further reading", "Source"}
"""Sections that name the works of others."""

CLAIM = re.compile(
    r"\b(prototypes?|real runs?|benchmarks?|we (measured|found|saw)|our (measurements?|runs?)|"
    r"measured here|tiny Shakespeare)\b",
    re.IGNORECASE,
)


def unfounded(text: str) -> list[str]:
    """Paragraphs that claim a measurement of ours and name neither a file of results that is
    there, nor that the runs are gone."""
    bad = []
    for paragraph in re.split(r"\n\s*\n", text):
        named = re.findall(r"benchmarks/[\w./]*\w", paragraph)
        there = all(f.startswith("benchmarks/results/") and (ROOT / f).exists() for f in named)
        gone = "not kept" in paragraph or "prototype's first guess" in " ".join(paragraph.split())
        if CLAIM.search(paragraph) and not (there and (named or gone)):
            bad.append(paragraph)
    return bad


def test_an_unfounded_claim_is_noticed() -> None:
    assert unfounded("Real runs read 3.")
    assert unfounded("A prototype read 3.")
    assert unfounded("It read 3 (benchmarks/results/nothing/there.json).")
    assert not unfounded("Real runs read 3 (benchmarks/results/ranges/activations.json).")
    assert not unfounded("Three is a prototype's\nfirst guess.")
    assert not unfounded("Papers read 3.")


@pytest.mark.parametrize("name", PAGES)
def test_page_claims_cite_a_results_file(name: str) -> None:
    sections = {h: body for h, body in PAGES[name].sections.items() if h not in TITLES}
    assert [bad for body in sections.values() for bad in unfounded(body)] == []


def test_pages_do_claim_measurements() -> None:
    assert sum(bool(CLAIM.search(page.text)) for page in PAGES.values()) > 20


@cache
def load_measurements(run: str) -> dict[str, float]:
    """What the diagnosis of a real run read, by signal."""
    content = json.loads((RUNS / f"{run}.json").read_text(encoding="utf-8"))
    measurements: dict[str, float] = content["measurements"]
    return measurements


SIGNALS = {r.replace("_", " "): r for page_metrics in PAGE_METRICS.values() for r in page_metrics}


def quoted(text: str) -> Iterator[tuple[str, str, str]]:
    """Signal, number and run of each ``update ratio 0.025 in `run.json`, 0.1 in `other.json```."""
    signal = ""
    for words, number, run in re.findall(
        r"([a-z0-9 ]*?)(-?[\d.]+) in `(\w+)\.json`", " ".join(text.split())
    ):
        named = [s for s in SIGNALS if words.strip().endswith(s)]
        signal = SIGNALS[max(named, key=len)] if named else signal
        yield signal, number, run


def format_like(value: float, number: str) -> str:
    """`value` with as many digits as `number` has."""
    digits = number.lstrip("-0.").replace(".", "")
    return f"{value:.{max(1, len(digits if '.' in number else digits.rstrip('0')))}g}"


def test_quotes_are_read_as_they_are_meant() -> None:
    text = "Real: update to weight ratio 0.025 in `a.json`, the first, 170 in\n`b.json`; "
    text += "steps -5 in `a.json`"
    assert list(quoted(text)) == [
        ("update_to_weight_ratio", "0.025", "a"),
        ("update_to_weight_ratio", "170", "b"),
        ("steps", "-5", "a"),
    ]
    assert [format_like(0.0253, "0.025"), float(format_like(166, "170"))] == ["0.025", 170]
    assert float(format_like(176, "170")) != 170


def test_page_quotes_match_measurements_of_runs() -> None:
    quotes = [(page.name, *q) for page in PAGES.values() for q in quoted(page.text)]
    assert len(quotes) > 40
    wrong = [
        (page, signal, number, run, load_measurements(run)[signal])
        for page, signal, number, run in quotes
        if float(format_like(load_measurements(run)[signal], number)) != float(number)
    ]
    assert wrong == []


@pytest.mark.parametrize("cause", CAUSES, ids=lambda c: c.name)
def test_cause_page_labels_guessed_thresholds(cause: causes.Cause) -> None:
    folder = Path(causes.__file__).parent
    code = (folder / f"{cause.name}.py").read_text(encoding="utf-8").split('"""', 2)[2]
    text = " ".join(cause_and_bug_pages()[cause.name].sections["Typical values"].split()).lower()
    is_labeled = "first guess" in text or "not measured" in text
    assert is_labeled or not re.search("first guess|prototype", code.lower())
