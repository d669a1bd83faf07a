"""The pages: complete, in order, of reading length, and never at odds with the program."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.markdown import Markdown

import descend
from descend.config import RunConfig, make_config
from descend.diagnosis.causes import CAUSES
from descend.diagnosis.metric_text import is_percentage
from descend.diagnosis.reference_ranges import RANGE_SOURCES, UNMEASURED, range_source
from descend.diagnosis.reference_ranges import REFERENCE_RANGES as HEALTHY_RANGES
from descend.errors import ConfigError, UserError
from descend.handbook.cause_pages import GROUPS as CAUSE_GROUPS
from descend.handbook.metric_glossary import HEALTHY, PAGE_METRICS
from descend.handbook.page import FACTS, GROUPS, HEADINGS, Page, load_markdown_pages, parse_page
from descend.handbook.page_lookup import find_page
from descend.handbook.setting_facts import GENERATION, describe_setting
from descend.loss_logs import curve_rules
from descend.presets import PRESETS

PAGES = load_markdown_pages()
SETTINGS = [*RunConfig.model_fields, *GENERATION]
FILES = Path(descend.__file__).parent / "handbook" / "pages"

WORDS = (150, 350)
"""Bounds of the length of a page, headings not counted."""

IDEAS = {
    "tokens",
    "embedding",
    "attention",
    "transformer",
    "gradient_descent",
    "loss",
    "perplexity",
    "bits_per_byte",
    "accuracy",
    "overfitting",
    "underfitting",
    "validation",
    "epoch_and_step",
    "ngram_baselines",
    "entropy",
    "checkpoint",
    "parameter_count",
    "key_value_cache",
    "nats",
    "update_to_weight_ratio",
    "gradient_norm",
    "critical_step_multiplier",
    "gradient_noise_scale",
    "loss_by_position",
    "generalization_gap",
    "attention_sharpness",
    "dead_units",
    "effective_rank",
    "initial_loss",
    "loss_spikes",
    "memorization",
    "contamination",
    "power_law",
    "rare_tokens",
    "validation_shift",
    "token_information",
}

CHOICES = {
    choice
    for key in ("architecture", "optimizer", "schedule")
    for choice in RunConfig.model_fields[key].annotation.__args__  # type: ignore[union-attr]
}


def content(name: str) -> str:
    return (FILES / f"{name}.md").read_text(encoding="utf-8")


def test_pages_match_settings_choices_and_concepts() -> None:
    assert len(CHOICES) == 10
    assert set(PAGES) == set(SETTINGS) | CHOICES | IDEAS
    assert {path.stem for path in FILES.iterdir()} == set(PAGES)


def test_setting_page_group_matches_config_group() -> None:
    for key, field in RunConfig.model_fields.items():
        extra = field.json_schema_extra
        assert isinstance(extra, dict)
        assert PAGES[key].group == extra["group"]
    assert {PAGES[name].group for name in GENERATION} == {"Generation"}
    assert {PAGES[name].group for name in CHOICES} == {"Choices"}
    assert {page.group for page in PAGES.values()} == set(GROUPS)


@pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
def test_page_has_ordered_headings_and_adequate_length(page: Page) -> None:
    assert tuple(page.sections) == HEADINGS
    assert re.findall(r"^## (.+)$", page.text, re.MULTILINE) == list(HEADINGS)
    assert WORDS[0] <= sum(len(body.split()) for body in page.sections.values()) <= WORDS[1]
    assert all(len(body.split()) >= 6 for body in page.sections.values())
    # A formula: a line set apart in the technical section, or a fact of formats in code marks.
    technical = page.sections["In technical words"]
    assert re.search(r"^    \S", technical, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
def test_links_and_names_in_a_page_resolve(page: Page) -> None:
    assert page.see_also
    assert page.name not in page.see_also
    assert set(page.see_also) <= set(PAGES)
    assert "](" not in page.text  # names in code marks are the only links
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", page.text))
    assert named <= set(PAGES)
    for key, value in re.findall(r"`(?:--)?([a-z_-]+)[ =]+([\w.:,-]+)`", page.text):
        if key.replace("-", "_") in RunConfig.model_fields:
            changes: dict[str, Any] = {key.replace("-", "_"): value}
            if value == "piecewise":
                changes["learning_rate"] = {1: 0.1}
            make_config(changes)


@pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
def test_literature_section_cites_year_or_documentation(page: Page) -> None:
    reading = page.sections["Further reading"]
    assert re.search(r"\((19|20)\d\d\), \"|[Dd]ocumentation|Standard Annex", reading)
    assert "http" not in page.text


def test_loss_log_metrics_have_pages() -> None:
    source = (Path(curve_rules.__file__)).read_text(encoding="utf-8")
    metric_names = set(re.findall(r'"([a-z]+_[a-z_]+)", ', source)) - {c.name for c in CAUSES}
    assert len(metric_names) > 5
    for signal in metric_names:
        assert find_page(signal).name in PAGES


def test_every_page_can_be_reached_from_another() -> None:
    assert {name for page in PAGES.values() for name in page.see_also} >= IDEAS | CHOICES


@pytest.mark.parametrize("name", PAGES)
def test_page_defaults_and_bounds_are_generated(name: str) -> None:
    raw = content(name)
    assert raw.count(FACTS) == (1 if name in SETTINGS else 0)
    if name in SETTINGS:
        facts = " ".join(PAGES[name].sections["Typical values"].split())
        assert facts.startswith(describe_setting(name))
    assert FACTS not in PAGES[name].text
    assert not re.search(r"\bdefaults?\b[^.\n]{0,30}\d", raw, re.IGNORECASE)


def test_page_reference_ranges_match_diagnosis() -> None:
    named = [reading for page_metrics in PAGE_METRICS.values() for reading in page_metrics]
    assert len(named) == len(set(named))
    assert set(HEALTHY_RANGES) <= set(named)
    for name, page in PAGES.items():
        ranges = {r: HEALTHY_RANGES[r] for r in PAGE_METRICS.get(name, ()) if r in HEALTHY_RANGES}
        text = " ".join(page.sections["Typical values"].split())
        assert content(name).count(HEALTHY) == int(bool(ranges) and page.group == "Signals")
        for metric, bounds in ranges.items() if page.group == "Signals" else ():
            scale = 100 if is_percentage(metric) else 1
            for bound in (scale * b for b in bounds if b is not None):
                assert re.search(rf"(?<![\d.]){bound:g}(?![\d.]\d)", text)


def test_page_states_origin_of_reference_range() -> None:
    assert set(HEALTHY_RANGES) > set(RANGE_SOURCES)
    guessed = 0
    for name, page in PAGES.items():
        if HEALTHY not in content(name):
            continue
        text = " ".join(page.sections["Typical values"].split())
        for reading in set(PAGE_METRICS[name]) & set(HEALTHY_RANGES):
            assert range_source(reading) in text
            guessed += range_source(reading) == UNMEASURED
    assert guessed >= 2


@pytest.mark.parametrize("key", RunConfig.model_fields)
def test_facts_are_those_of_the_configuration(key: str) -> None:
    facts, field = describe_setting(key), RunConfig.model_fields[key]
    if isinstance(field.default, int | float) and not isinstance(field.default, bool):
        assert float(facts.split("Default: ")[1].split(". ")[0].rstrip(".").replace(",", "")) == (
            field.default
        )
    elif isinstance(field.default, str):
        assert f"Default: {field.default}." in facts
    elif field.default is None:
        own = (field.description or "").partition("Default: ")[2].rstrip(".") or "none"
        assert f"Default: {own}." in facts.replace("`", "")
    bounds = re.search(
        r"Allowed: (from|more than) ([\d,.e+]+\d)(?: (up to|less than) (.+?))?\.(?: |$)", facts
    )
    if bounds is None:
        return
    kind, low, other, high = bounds.groups()
    ends = [(float(low.replace(",", "")), kind == "from", -1.0)]
    if other and "e+" not in high:
        ends.append((float(high.replace(",", "")), other == "up to", 1.0))
    for end, included, outwards in ends:
        assert accepts(key, end) is included
        assert not accepts(key, end + outwards)


def accepts(key: str, value: float) -> bool:
    """Whether the key's own bounds let `value` pass: how keys fit each other is not the point."""
    try:
        make_config({key: int(value) if float(value).is_integer() else value})
    except ConfigError as problem:
        return (
            "a divisor of" in str(problem)
            or "at most" in str(problem)
            or "heads of" in str(problem)
        )
    return True


def test_presets_in_the_facts_are_the_presets() -> None:
    assert "0.001 in guide, 0.0003 in old" in describe_setting("learning_rate")
    for key in ("embed_dim", "batch_size", "seq_len", "num_layers"):
        for preset in ("guide", "old"):
            assert f"{PRESETS[preset][key]:,} in {preset}" in describe_setting(key)


def test_generation_settings_are_those_of_sampling() -> None:
    from descend.model.sampling import SamplingOptions

    defaults = SamplingOptions()
    for name, (default, min_value, max_value) in GENERATION.items():
        assert getattr(defaults, name) == default
        for inside in (min_value, *([max_value] if max_value is not None else [])):
            SamplingOptions(**{name: type(default)(inside)})
        outside = [min_value - 1] if max_value is None else [min_value - 1, max_value + 1]
        for value in outside:
            with pytest.raises(ConfigError):
                SamplingOptions(**{name: type(default)(value)})
    # All of them but the switch for greedy, which the page on temperature mentions.
    assert set(GENERATION) | {"greedy"} == set(SamplingOptions.__struct_fields__)


def test_page_constants_match_code() -> None:
    from descend.data.corpus_stats import RARE_TOKEN_COUNT
    from descend.metrics.weight_updates import RECORD_EVERY_STEPS

    assert f"each {RECORD_EVERY_STEPS} steps" in PAGES["update_to_weight_ratio"].text.replace(
        "\n", " "
    )
    assert f"fewer than {RARE_TOKEN_COUNT} times" in PAGES["vocab_size"].text.replace("\n", " ")
    guide = PRESETS["guide"]
    assert (guide["architecture"], guide["optimizer"], guide["schedule"]) == (
        "gpt", "adamw", "constant",
    )  # fmt: skip
    assert "The guide's preset is this architecture with AdamW at a constant rate" in (
        PAGES["gpt"].text.replace("\n", " ")
    )


@pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
def test_a_page_renders_on_a_terminal(page: Page) -> None:
    drawn = io.StringIO()
    Console(file=drawn, width=80, force_terminal=True, color_system=None).print(Markdown(page.text))
    for part in (page.title, *HEADINGS):
        assert part in drawn.getvalue()


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("embed-dim", "embed_dim"),
        ("embed_dim", "embed_dim"),
        ("Embed Dim", "embed_dim"),
        ("learning rates", "learning_rate"),
        ("learning rate", "learning_rate"),
        ("LR", "learning_rate"),
        ("epochs", "epoch"),
        ("layer", "num_layers"),
        ("dropout", "dropout_rate"),
        ("token", "tokens"),
        ("mixed precision", "precision"),
        ("warmup", "warmup_steps"),
        ("baselines", "ngram_baselines"),
        ("self-attention", "attention"),
        ("kv cache", "key_value_cache"),
        ("Top-P", "top_p"),
        ("--batch-size", "batch_size"),
        ("gradient clipping", "gradient_clip"),
    ],
)
def test_find_page_accepts_spelling_variants(what: str, name: str) -> None:
    assert find_page(what).name == name


def test_no_two_pages_answer_to_the_same_word() -> None:
    for page in PAGES.values():
        for word in (page.name, page.title, *page.aliases):
            assert find_page(word) is page


@pytest.mark.parametrize(
    ("what", "near"),
    [
        ("lerning_rate", "learning_rate"),
        ("embeding_dim", "embed_dim"),
        ("temprature", "temperature"),
    ],
)
def test_find_page_suggests_nearest_page_for_unknown_topic(what: str, near: str) -> None:
    with pytest.raises(UserError, match=f"^{what}: expected .*Did you mean {near}\\?$") as caught:
        find_page(what)
    assert caught.value.exit_code == 2


def test_a_word_near_nothing_points_to_the_list() -> None:
    text = "one of the pages that `descend explain` lists, but found .* Choose one of them"
    with pytest.raises(UserError, match=text):
        find_page("qqqqzzzz")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: loss", "name: lost", "its name or group"),
        ("group: Ideas", "group: Nonsense", "its name or group"),
        ("title: Loss\n", "", "needs a head"),
        ("## An analogy", "## A picture", "headings in order"),
        ("---\nname", "name", "needs a head"),
    ],
)
def test_parse_page_rejects_malformed_page(old: str, new: str, said: str) -> None:
    whole = content("loss")
    assert old in whole
    assert parse_page("loss", whole) == PAGES["loss"]
    with pytest.raises(ValueError, match=said):
        parse_page("loss", whole.replace(old, new, 1))


def test_the_page_of_the_verb_names_every_group() -> None:
    text = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")
    sentence = text.partition("The groups are ")[2].partition(".")[0]
    assert sentence.replace("and ", "").split(", ") == [*GROUPS, *CAUSE_GROUPS]
