"""A page for every cause and bug, made from its docstring."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import descend
from descend.config import RunConfig, make_config
from descend.data.contamination import exact_overlap, fuzzy_overlap
from descend.data.corpus_stats import RARE_TOKEN_COUNT
from descend.diagnosis import cause as causes
from descend.diagnosis import verdict
from descend.diagnosis.causes import (
    CAUSES,
    bad_initialization,
    data_leakage,
    distribution_shift,
    duplicate_data,
    model_too_small,
    over_regularized,
    too_little_data,
)
from descend.diagnosis.metric_text import (
    format_metric_range,
    format_range_with_unit,
    metric_label,
)
from descend.diagnosis.reference_ranges import reference_range
from descend.handbook.cause_pages import GROUPS, cause_and_bug_pages, parse_cause_page
from descend.handbook.explanation import explain_page
from descend.handbook.page import HEADINGS, Page, load_markdown_pages
from descend.handbook.page_lookup import find_page, load_all_pages
from descend.metrics import activations, corpus_distribution, loss_breakdown
from descend.program_check import bug_pages as bugs
from descend.program_check.bugs import BUGS
from descend.training import lr_schedule, optimizers, recipe, rollback

Explain = Callable[..., Any]

PAGES = cause_and_bug_pages()
OF_CAUSES = [page for page in PAGES.values() if page.group == "Causes"]

WORDS = (250, 476)
"""Bounds of the length of the page of a cause: two minutes at 238 words a minute (Brysbaert 2019,
"How many words do we read per minute?")."""


def flat(page: Page) -> str:
    """Its text without line breaks."""
    return " ".join(page.text.split())


def test_pages_match_registered_causes_and_bugs() -> None:
    assert {p.name for p in PAGES.values() if p.group == "Causes"} == {c.name for c in CAUSES}
    assert {p.name for p in PAGES.values() if p.group == "Bugs"} == {b.name for b in BUGS}
    assert len(PAGES) == len(CAUSES) + len(BUGS) > 40
    assert not PAGES.keys() & load_markdown_pages().keys()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(name: str) -> None:
    page = PAGES[name]
    expected_sections = causes.HEADINGS if page.group == "Causes" else bugs.HEADINGS
    assert tuple(page.sections) == expected_sections
    assert all(len(body.split()) >= 3 for body in page.sections.values())
    assert set(page.see_also) <= load_all_pages().keys() - {name}
    assert find_page(name) is page
    assert find_page(page.title) is page
    assert explain_page(name).text == page.text


def test_cause_headings_include_setting_headings_in_order() -> None:
    assert tuple(h for h in causes.HEADINGS if h in HEADINGS) == HEADINGS
    assert len(set(causes.HEADINGS)) == len(causes.HEADINGS)


@pytest.mark.parametrize("page", OF_CAUSES, ids=lambda p: p.name)
def test_cause_page_sections_have_adequate_length(page: Page) -> None:
    assert WORDS[0] <= sum(len(body.split()) for body in page.sections.values()) <= WORDS[1]
    min_section_words = {
        "An analogy": 15,
        "In technical words": 30,
        "More and less": 25,
        "Typical values": 20,
    }
    for section, words in min_section_words.items():
        assert len(page.sections[section].split()) >= words
    assert re.search(r"^    \S.*[=≈≤<>←]", page.sections["In technical words"], re.MULTILINE)
    assert re.search(r'\((19|20)\d\d\), "', page.sections["Further reading"])


@pytest.mark.parametrize("page", OF_CAUSES, ids=lambda p: p.name)
def test_names_in_the_page_of_a_cause_resolve(page: Page) -> None:
    assert set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", page.text)) <= load_all_pages().keys()
    for key, value in re.findall(r"`([a-z_]+) = ([\w.]+)`", page.text):
        assert key in RunConfig.model_fields
        make_config({key: value})


@pytest.mark.parametrize("cause", CAUSES, ids=lambda c: c.name)
def test_cause_page_lists_expected_metrics(cause: causes.Cause) -> None:
    text = " ".join(PAGES[cause.name].sections["Typical values"].split())
    assert "{" not in text
    for sign in cause.expected_ranges:
        expected = format_range_with_unit(sign.metric, (sign.low, sign.high))
        words = f"{metric_label(sign.metric)} {expected}"
        healthy = format_metric_range(sign.metric, reference_range(sign.metric))
        assert (f"{words} (normal: {healthy})" if healthy else words) in text


def test_parse_cause_page_fails_when_a_section_is_missing() -> None:
    cause = CAUSES[0]
    assert parse_cause_page(cause).sections == PAGES[cause.name].sections
    broken = replace(cause, page=cause.page.replace("An analogy:", "A picture:"))
    with pytest.raises(ValueError, match=f"{cause.name}: needs these headings in order"):
        parse_cause_page(broken)


def smoothing_floor(share: float, vocabulary: int) -> float:
    """Entropy (nats) of the targets that label smoothing asks for."""
    other = share / vocabulary
    right = 1 - share + other
    return -right * math.log(right) - (vocabulary - 1) * other * math.log(other)


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("bad_initialization", f"max |u| ≤ {activations.DEAD_UNIT_THRESHOLD:g} · rms"),
        (
            "bad_initialization",
            (
                "for 2,048 tokens it stands for logits that scatter by s = "
                f"{math.sqrt(2 * (bad_initialization.FAR_OFF - 1) * math.log(2048)):.1f}"
            ),
        ),
        ("bad_schedule", f"u / {lr_schedule.WSD_DECAY_FRACTION:g}"),
        ("bad_schedule", f"over a {({0.05: 'twentieth'})[recipe.WARMUP_FRACTION]}"),
        (
            "context_unused",
            f"falls no further (by {loss_breakdown.FLAT_LOSS_NATS:.0%}".replace("%", " %"),
        ),
        ("distribution_shift", f"for {({8: 'eight'})[corpus_distribution.NUM_SEGMENTS]} segments"),
        (
            "distribution_shift",
            f"distribution shift over {distribution_shift.MIN_SHIFT_NATS:g} nats",
        ),
        ("diverged", f"for {rollback.SPIKE_PATIENCE_STEPS} steps in a row"),
        (
            "diverged",
            (
                f"max({rollback.SPIKE_DEVIATIONS:g} σ, (ln V − m) / 2, {rollback.MIN_SPIKE_NATS:g}"
                " nat)"
            ),
        ),
        ("duplicate_data", f"{exact_overlap.MIN_MATCH_TOKENS}, or more"),
        ("duplicate_data", f"under {exact_overlap.MIN_COPY_BYTES} bytes"),
        ("duplicate_data", f"From {duplicate_data.MIN_DUPLICATE_FRACTION:g} on"),
        ("data_leakage", f"overlap · {data_leakage.MEMORIZATION_NATS:g} nat"),
        ("data_leakage", f"From {data_leakage.MIN_OVERLAP_FRACTION:g} on"),
        ("data_leakage", f"n is {exact_overlap.MIN_MATCH_TOKENS}"),
        ("data_leakage", f"some {fuzzy_overlap.SEGMENT_SIZE} words is nearly a copy"),
        (
            "data_leakage",
            f"if {fuzzy_overlap.MIN_MATCH_FRACTION:.0%} of its runs".replace("%", " %"),
        ),
        ("learning_rate_too_low", f"≈ {optimizers.MUON_LR_MULTIPLIER:g} η"),
        ("model_too_small", f"D ≈ {model_too_small.MUCH_TEXT:g} · N"),
        (
            "noise_floor",
            f"at least {verdict.MOSTLY_RANDOM_FRACTION:g} of that of token frequencies",
        ),
        ("over_regularized", f"η is {optimizers.MUON_LR_MULTIPLIER:g} times the `learning_rate`"),
        ("over_regularized", f"`weight_decay = {over_regularized.LITTLE_DECAY:g}`"),
        ("over_regularized", f"V = 2,048 is {smoothing_floor(0.1, 2048):.2f} nats"),
        ("too_little_data", f"{too_little_data.MAX_EFFECTIVE_REPETITIONS:g} fitted to small ones"),
        ("too_little_data", f"`dropout_rate = {too_little_data.DROPOUT:g}`"),
        ("too_little_data", f"at most {({8: 'eight'})[too_little_data.MAX_MORE]} times"),
        ("vocabulary_too_large", f"fewer than {RARE_TOKEN_COUNT} uses"),
    ],
)
def test_cause_page_constants_match_code(name: str, phrase: str) -> None:
    assert phrase in flat(PAGES[name])


def test_the_docstring_is_the_page(explain: Explain) -> None:
    source = Path(descend.__file__).parent / "diagnosis" / "causes" / "learning_rate_too_low.py"
    page = PAGES["learning_rate_too_low"]
    words = " ".join(source.read_text(encoding="utf-8").split('"""')[1].split())
    for section, body in page.sections.items():
        own = body.split("\n\n", 1)[1] if section == "Typical values" else body
        assert " ".join(own.split()) in words
        assert f" {section}: " in words
    assert explain(page.name).out == page.text + "\n"
    content = json.loads(explain("causal", "mask", "missing", "--json").out)
    assert (content["name"], content["group"]) == ("causal_mask_missing", "Bugs")
    assert content["sections"] == PAGES["causal_mask_missing"].sections


def test_the_list_has_them_in_groups(explain: Explain) -> None:
    listed = explain().out
    for group in GROUPS:
        assert f"\n## {group}\n" in listed
    assert listed.index("## Signals") < listed.index("## Causes") < listed.index("## Bugs")
    for page in PAGES.values():
        assert f"- `{page.name}`: {page.title}\n" in listed


def test_cause_page_shows_diagnosis_of_a_run(
    explain: Explain, trained: Path, own_folder: Path
) -> None:
    name = "learning_rate_too_low"
    assert "has not been diagnosed" in explain(name, "--run", trained).out
    run = own_folder / "run"
    shutil.copytree(trained, run)
    trial = {
        "metric": "validation_loss", "change": "3 times the learning rate", "control_loss": 4.0,
        "treatment_loss": 3.5, "loss_reduction": 0.5, "ci95": [0.4, 0.6], "p_holm": 0.001,
        "seeds": 3, "tokens": 9, "run_fraction": 1.0, "seconds": 2.0, "cost_factor": 1.0,
    }  # fmt: skip
    finding = {
        "cause": name, "probability": 0.93, "evidence": [], "advice": "raise it",
        "recommended_config": {"learning_rate": 0.003}, "trial": trial,
    }  # fmt: skip
    content = {
        "run": str(run), "verdict": name, "probability": 0.93, "causes": [finding],
        "ruled_out": [{"cause": "data_leakage", "reason": "nothing of it stands in training"}],
        "measurements": [], "warnings": [], "cost": {"seconds": 1.0, "fraction_of_run": 0.1},
    }  # fmt: skip
    (run / "diagnosis.json").write_text(json.dumps(content))
    text = explain(name, "--run", run).out
    for part in ("93% sure", "3 times the learning rate ends 0.500 nats better",
                 "(95 % CI 0.400 to 0.600)", "`learning_rate = 0.003`"):  # fmt: skip
        assert part in text
    assert (
        "ruled it out: nothing of it stands in training"
        in explain("data_leakage", "--run", run).out
    )
    assert "says nothing of it" in explain("diverged", "--run", run).out
    (run / "diagnosis.json").write_text("{")
    done = explain(name, "--run", run)
    assert (done.code, done.err.count("\n")) == (2, 1)
