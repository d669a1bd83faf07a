"""The stories: every number exact, every text derived in one way only."""

from __future__ import annotations

import itertools
import math
import random
import re
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descend.data.synthetic import generate_stories, stories_entropy, stories_nll
from descend.data.synthetic.delayed_copy import (
    DelayedCopy,
    delayed_copy_nll,
    recall_entropy_rate,
    sample_delayed_copy,
    short_context_entropy_rate,
)
from descend.data.synthetic.grammar import (
    Grammar,
    entropy,
    enumerate_derivations,
    find_ambiguities,
    sample_text,
)
from descend.data.synthetic.grammar_notation import parse_grammar
from descend.data.synthetic.hidden_markov import (
    forward_nll,
    random_hidden_markov_model,
    sample_hidden,
    with_observation_noise,
)
from descend.data.synthetic.markov_chain import (
    MarkovChain,
    markov_entropy_rate,
    markov_nll,
    random_markov_chain,
    sample_chain,
)
from descend.data.synthetic.stories import story_grammar
from descend.data.synthetic.zipf_lexicon import lexicon_entropy, make_zipf_lexicon, sample_lexicon

NATURE = {"nature": "nature\nbrave\nshy"}


def small(rules: str, **tables: str) -> Grammar:
    return parse_grammar(rules, NATURE | tables, start="start", condition="nature")


def test_sampled_stories_match_exact_entropy_and_length() -> None:
    samples = list(generate_stories(7, 6000))
    rate = stories_entropy()
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
    assert list(find_ambiguities(story_grammar())) == []


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**63))
def test_independent_scorer_agrees_with_story_probability(seed: int) -> None:
    for text, nats in generate_stories(seed, 2):
        assert enumerate_derivations(story_grammar(), text) == [pytest.approx(nats, rel=1e-12)]
        assert stories_nll(text) == pytest.approx(nats, rel=1e-12)
        # No story is the beginning of another, so its end token is certain.
        assert stories_nll(text + " ") == stories_nll(text[:-1]) == math.inf


def test_stories_depend_only_on_seed() -> None:
    assert list(generate_stories(1, 20)) == list(generate_stories(1, 30))[:20]
    assert list(generate_stories(1, 20)) != list(generate_stories(2, 20))
    assert list(generate_stories(1, 0)) == []
    # Pinned: a change of the stories must raise VERSION, or caches would keep the old ones.
    assert next(generate_stories(1, 1))[0].startswith(
        "This is the story of Ruby, a brave little girl."
    )


def test_stories_are_varied_clean_and_agree_with_themselves() -> None:
    texts = [text for text, _ in generate_stories(3, 2000)]
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
    rate = entropy(made)
    assert rate.nats_per_document == pytest.approx(expected, rel=1e-12)
    # brave or shy, a space, ran or hid, a space, a third of an 'and ', so.
    size = 0.6 * 5 + 0.4 * 3 + 1 + 3 + 1 + 4 / 3 + 3
    assert rate.bytes_per_document == pytest.approx(size, rel=1e-12)
    assert list(find_ambiguities(made)) == []


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
    assert any(complaint in fault for fault in find_ambiguities(made))


def test_an_ambiguous_text_has_two_derivations() -> None:
    made = small("start\n    {nature=} [a] [b]\na\n    x\n    x x\nb\n    x\n    x x")
    assert len(enumerate_derivations(made, "brave x x x")) == 2
    assert enumerate_derivations(made, "brave x") == []
    text, nats = sample_text(made, random.Random(0))
    assert min(abs(nats - way) for way in enumerate_derivations(made, text)) < 1e-12


def test_markov_chain_entropy_matches_hand_calculation() -> None:
    chain = MarkovChain(1, np.array([[0.9, 0.1], [0.5, 0.5]]))  # stationary: 5/6, 1/6
    rows = [-0.9 * math.log(0.9) - 0.1 * math.log(0.1), math.log(2)]
    assert markov_entropy_rate(chain) == pytest.approx(5 / 6 * rows[0] + 1 / 6 * rows[1])
    assert markov_nll(chain, np.array([0, 1, 1])) == pytest.approx([-math.log(0.1), math.log(2)])


@pytest.mark.parametrize("order", [0, 1, 3])
def test_sampled_chain_surprisal_converges_to_entropy_rate(order: int) -> None:
    chain = random_markov_chain(order, 5, seed=order, noise=0.1)
    nll = markov_nll(chain, sample_chain(chain, 40_000, seed=1))
    assert nll.mean() == pytest.approx(markov_entropy_rate(chain), abs=0.03)


def test_markov_chain_entropy_increases_with_noise() -> None:
    rates = [markov_entropy_rate(random_markov_chain(2, 6, 0, noise=r)) for r in (0, 0.1, 0.5, 1)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(math.log(6))
    with pytest.raises(ValueError, match="expected 0 to 1"):
        random_markov_chain(1, 2, 0, noise=1.5)
    with pytest.raises(ValueError, match="2\\^24 cells"):
        random_markov_chain(9, 30, 0)


def test_forward_algorithm_equals_sum_over_hidden_paths() -> None:
    model = random_hidden_markov_model(3, 4, seed=5, noise=0.2)
    tokens = sample_hidden(model, 6, seed=6)
    total = 0.0
    for path in itertools.product(range(3), repeat=6):
        p = model.start[path[0]]
        for here, after in itertools.pairwise(path):
            p *= model.transition[here, after]
        total += p * math.prod(model.emission[s, x] for s, x in zip(path, tokens, strict=True))
    assert forward_nll(model, tokens).sum() == pytest.approx(-math.log(total))


def test_hidden_markov_without_noise_equals_markov_chain() -> None:
    chain = random_markov_chain(2, 3, seed=1)
    tokens = sample_chain(chain, 500, seed=2)
    assert forward_nll(with_observation_noise(chain, 0), tokens)[2:] == pytest.approx(
        markov_nll(chain, tokens)
    )
    noisy = with_observation_noise(chain, 0.3)
    observations = sample_hidden(noisy, 5000, seed=3)
    assert forward_nll(noisy, observations).mean() > markov_entropy_rate(chain) + 0.1


def test_delayed_copy_is_predictable_only_at_the_distance() -> None:
    language = DelayedCopy(distance=12, symbols=8, noise=0.2)
    tokens = sample_delayed_copy(language, 50_000, seed=0)
    nll = delayed_copy_nll(language, tokens)
    assert nll[12:].mean() == pytest.approx(recall_entropy_rate(language), abs=0.02)
    assert nll[:12] == pytest.approx([short_context_entropy_rate(language)] * 12)
    recall_probability = 0.8 + 0.2 / 8
    for distance in (1, 5, 11, 12, 13):
        same = float((tokens[distance:] == tokens[:-distance]).mean())
        assert same == pytest.approx(recall_probability if distance == 12 else 1 / 8, abs=0.02)


def test_lexicon_length_and_entropy_match_sampled_text() -> None:
    lexicon = make_zipf_lexicon(300, 6, seed=0, exponent=1.1, noise=0.05)
    assert len(set(lexicon.stems)) == 300
    assert len({s + e for s in lexicon.stems for e in lexicon.endings}) == 1800
    chance = {
        stem + ending: p * q
        for stem, p in zip(lexicon.stems, lexicon.stem_probabilities, strict=True)
        for ending, q in zip(lexicon.endings, lexicon.ending_probabilities, strict=True)
    }
    assert math.fsum(chance.values()) == pytest.approx(1)
    text = sample_lexicon(lexicon, 20_000, seed=1)
    rate = lexicon_entropy(lexicon)
    assert len(text) / 20_000 == pytest.approx(rate.bytes_per_document, rel=0.01)
    surprisal = statistics.mean(-math.log(chance[word]) for word in text.split())
    assert surprisal == pytest.approx(rate.nats_per_document, rel=0.02)
