"""The stories: every number exact, every text derived in one way only."""

from __future__ import annotations

import json
import lzma
import math
import random
import re
import statistics
import sys
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descend.data import builtin_corpora

FOLDER = Path(__file__).parents[2] / "benchmarks" / "diagnosis"

sys.path.insert(0, str(FOLDER))
try:
    stories, grammar, notation, write_stories = (
        import_module(name)
        for name in (
            "languages.stories", "languages.stories.grammar",
            "languages.stories.grammar_notation", "write_stories",
        )
    )  # fmt: skip
finally:
    sys.path.remove(str(FOLDER))

NATURE = {"nature": "nature\nbrave\nshy"}


def small(rules: str, **tables: str) -> Any:
    return notation.parse_grammar(rules, NATURE | tables, start="start", condition="nature")


def test_sampled_stories_match_exact_entropy_and_length() -> None:
    samples = list(stories.generate_stories(7, 6000))
    rate = stories.stories_entropy()
    for expected, sample in (
        (rate.nats_per_document, [nats for _, nats in samples]),
        (rate.bytes_per_document, [float(len(text.encode())) for text, _ in samples]),
    ):
        error = statistics.stdev(sample) / math.sqrt(len(sample))
        assert abs(statistics.mean(sample) - expected) < 4 * error
        assert error < 0.01 * expected  # so that agreement says something
    assert rate.nats_per_byte == rate.nats_per_document / rate.bytes_per_document
    assert rate.bits_per_byte == pytest.approx(rate.nats_per_byte / math.log(2))


def test_the_grammar_is_unambiguous() -> None:
    assert list(grammar.find_ambiguities(stories.story_grammar())) == []


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**63))
def test_independent_scorer_agrees_with_story_probability(seed: int) -> None:
    for text, nats in stories.generate_stories(seed, 2):
        assert grammar.enumerate_derivations(stories.story_grammar(), text) == [
            pytest.approx(nats, rel=1e-12)
        ]
        assert stories.stories_nll(text) == pytest.approx(nats, rel=1e-12)
        # No story is the beginning of another, so its end token is certain.
        assert stories.stories_nll(text + " ") == stories.stories_nll(text[:-1]) == math.inf


def test_stories_depend_only_on_seed() -> None:
    assert list(stories.generate_stories(1, 20)) == list(stories.generate_stories(1, 30))[:20]
    assert list(stories.generate_stories(1, 20)) != list(stories.generate_stories(2, 20))
    assert list(stories.generate_stories(1, 0)) == []
    assert next(stories.generate_stories(1, 1))[0].startswith(
        "This is the story of Ruby, a brave little girl."
    )


def test_stories_are_varied_clean_and_agree_with_themselves() -> None:
    texts = [text for text, _ in stories.generate_stories(3, 2000)]
    assert len(set(texts)) == len(texts)
    assert len({word for text in texts for word in re.findall(r"\w+", text)}) > 600
    for text in texts:
        assert text == text.strip()
        assert "  " not in text
        assert not re.search(r"[\[\]{}¶|=]", text)
        if lost := re.search(r"(?:his|her) ([\w ]+) was gone\.", text):
            assert text.count(lost[1]) >= 3  # lost, asked for, found


def test_grammar_entropy_matches_hand_calculation() -> None:
    rules = """
start
    {nature=} [act] [again]
act
    1 brave=3 | ran
    1 | hid
again
    1 | and [again]
    3 | so.
"""
    made = small(rules)

    # Nature: 1/2 against 1/3, so 3/5 and 2/5. Continuing: geometric, 1/4 a time.
    def h(p: float) -> float:
        return -p * math.log(p) - (1 - p) * math.log(1 - p)

    expected = h(0.6) + 0.6 * h(0.75) + 0.4 * h(0.5) + h(0.25) * 4 / 3
    rate = grammar.entropy(made)
    assert rate.nats_per_document == pytest.approx(expected, rel=1e-12)
    # brave or shy, a space, ran or hid, a space, a third of an 'and ', so.
    size = 0.6 * 5 + 0.4 * 3 + 1 + 3 + 1 + 4 / 3 + 3
    assert rate.bytes_per_document == pytest.approx(size, rel=1e-12)
    assert list(grammar.find_ambiguities(made)) == []


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        ("start\n    {nature=} ran\n    {nature=} ran away", "end alike"),
        ("start\n    {nature=} [a]\na\n    cat\n    [b]\nb\n    cat sat\n", "can both begin with"),
        ("start\n    {nature=} {toy=} or {toy=}", "begins like"),
        ("start\n    {nature=}{nature}", "without a space"),
        ("start\n    {nature=} {cup}", "cup is recalled but not drawn"),
        ("start\n    {nature=} {nature=}", "drawn twice"),
        ("start\n    nothing", "not always drawn"),
        ("start\n    [a] {nature=}\na\n    1 brave=2 | x\n    1 | y", "not drawn yet"),
    ],
)
def test_a_faulty_grammar_is_noticed(rules: str, complaint: str) -> None:
    made = small(rules, toy="toy\nred ball\nred ball of wool", cup="cup\nmug\njug")
    assert any(complaint in fault for fault in grammar.find_ambiguities(made))


def test_an_ambiguous_text_has_two_derivations() -> None:
    made = small("start\n    {nature=} [a] [b]\na\n    x\n    x x\nb\n    x\n    x x")
    assert len(grammar.enumerate_derivations(made, "brave x x x")) == 2
    assert grammar.enumerate_derivations(made, "brave x") == []
    text, nats = grammar.sample_text(made, random.Random(0))
    assert (
        min(
            abs(nats - nats_of_derivation)
            for nats_of_derivation in grammar.enumerate_derivations(made, text)
        )
        < 1e-12
    )


def test_built_in_corpus_is_what_the_grammar_makes() -> None:
    stored = files("descend.data").joinpath(builtin_corpora.STORIES_FILE).read_bytes()
    content = lzma.decompress(stored)
    assert content == write_stories.story_lines()
    texts = [json.loads(line)["text"] for line in content.splitlines()]
    assert [d.text for d in builtin_corpora.read_builtin_corpus("stories")] == texts
    bits = stories.stories_entropy().bits_per_byte
    assert f"{bits:.4f} bits per byte" in builtin_corpora.__doc__.replace("\n", " ")
