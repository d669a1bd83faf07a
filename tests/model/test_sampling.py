"""Sampling means what `transformers` means: its own logits processors are the oracle."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.generation import logits_process as oracle

from descend.errors import ConfigError
from descend.model import sampling
from descend.model.sampling import SamplingOptions


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Logits (B, V) of distinct values and the tokens so far (B, T), repetitive on purpose."""
    rows, vocab, length = draw(st.tuples(st.integers(1, 3), st.integers(4, 30), st.integers(1, 25)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scale = draw(st.sampled_from([0.3, 2.0, 8.0]))
    logits = torch.randn(rows, vocab, generator=generator) * scale
    few = draw(st.integers(1, vocab - 1))
    return logits, torch.randint(0, few, (rows, length), generator=generator)


@given(cases(), st.floats(0.2, 3.0).filter(lambda p: p != 1.0))
@settings(deadline=None)
def test_repetition_penalty(case: tuple[Tensor, Tensor], penalty: float) -> None:
    logits, so_far = case
    expected = oracle.RepetitionPenaltyLogitsProcessor(penalty)(so_far, logits.clone())
    assert not torch.equal(expected, logits)
    assert torch.equal(sampling.penalize_repetition(logits, so_far, penalty), expected)


@given(cases(), st.integers(1, 5))
@settings(deadline=None)
def test_repeated_ngrams(case: tuple[Tensor, Tensor], size: int) -> None:
    logits, so_far = case
    expected = oracle.NoRepeatNGramLogitsProcessor(size)(so_far, logits.clone())
    assert torch.equal(sampling.ban_repeated_ngrams(logits, so_far, size), expected)


def test_forbid_ngrams_bans_the_ngram_continuation() -> None:
    so_far = torch.tensor([[5, 6, 7, 1, 5, 6], [1, 2, 3, 4, 5, 6]])
    banned = sampling.ban_repeated_ngrams(torch.zeros(2, 8), so_far, 3).isinf()
    assert banned.nonzero().tolist() == [[0, 7]]


def test_ngrams_never_rule_out_every_token() -> None:
    logits = torch.tensor([[1.0, 2.0]])
    assert torch.equal(sampling.ban_repeated_ngrams(logits, torch.tensor([[0, 1, 0]]), 1), logits)


@given(cases(), st.integers(1, 40))
@settings(deadline=None)
def test_top_k(case: tuple[Tensor, Tensor], k: int) -> None:
    logits, so_far = case
    assert torch.equal(sampling.filter_top_k(logits, k), oracle.TopKLogitsWarper(k)(so_far, logits))


@given(cases(), st.floats(0.01, 0.999))
@settings(deadline=None)
def test_top_p(case: tuple[Tensor, Tensor], p: float) -> None:
    logits, so_far = case
    assert torch.equal(sampling.filter_top_p(logits, p), oracle.TopPLogitsWarper(p)(so_far, logits))


@given(cases(), st.floats(0.001, 1.0))
@settings(deadline=None)
def test_min_p(case: tuple[Tensor, Tensor], share: float) -> None:
    logits, so_far = case
    expected = oracle.MinPLogitsWarper(share)(so_far, logits)
    assert torch.equal(sampling.filter_min_p(logits, share), expected)


@given(cases(), st.floats(0.1, 3), st.integers(1, 40), st.floats(0.05, 0.99), st.floats(0.01, 0.9))
@settings(deadline=None, max_examples=100)
def test_all_together_in_order(
    case: tuple[Tensor, Tensor], temperature: float, k: int, p: float, share: float
) -> None:
    logits, so_far = case
    sampling_options = SamplingOptions(temperature=temperature, top_k=k, top_p=p, min_p=share)
    expected = oracle.LogitsProcessorList(
        [
            oracle.RepetitionPenaltyLogitsProcessor(sampling_options.repetition_penalty),
            oracle.NoRepeatNGramLogitsProcessor(sampling_options.no_repeat_ngram_size),
            oracle.TemperatureLogitsWarper(temperature),
            oracle.TopKLogitsWarper(k),
            oracle.TopPLogitsWarper(p),
            oracle.MinPLogitsWarper(share),
        ]
    )(so_far, logits.clone())
    assert torch.equal(sampling.apply_logits_processors(logits, so_far, sampling_options), expected)


@given(cases())
@settings(deadline=None)
def test_greedy_ignores_sampling_settings(case: tuple[Tensor, Tensor]) -> None:
    logits, so_far = case
    sampling_options = SamplingOptions(
        greedy=True, top_k=1, temperature=50.0, no_repeat_ngram_size=0
    )
    expected = oracle.RepetitionPenaltyLogitsProcessor(1.3)(so_far, logits.clone())
    assert torch.equal(sampling.apply_logits_processors(logits, so_far, sampling_options), expected)
    assert sampling.greedy_tokens(expected) == expected.argmax(-1).tolist()


@given(cases(), st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_draw_never_selects_a_masked_token(case: tuple[Tensor, Tensor], uniform: float) -> None:
    logits, so_far = case
    left = sampling.apply_logits_processors(logits, so_far, SamplingOptions(top_k=3))
    assert left.isinf().any()
    for row, chosen in enumerate(sampling.sample_tokens(left, [uniform] * len(left))):
        assert left[row, chosen] > -torch.inf


def test_draws_have_the_frequencies_of_the_softmax() -> None:
    logits = torch.tensor([[0.0, 1.0, -torch.inf, 2.0]])
    numbers = [(i + 0.5) / 4000 for i in range(4000)]
    drawn = torch.tensor(sampling.sample_tokens(logits.expand(4000, 4), numbers))
    frequencies = torch.bincount(drawn, minlength=4) / 4000
    assert torch.allclose(frequencies, logits.softmax(-1)[0], atol=1e-3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperature", 0), ("temperature", float("nan")), ("temperature", "1"), ("top_k", -1),
        ("top_k", 2.5), ("top_k", True), ("top_p", 0.0), ("top_p", 1.1), ("min_p", -0.1),
        ("repetition_penalty", 0), ("no_repeat_ngram_size", -1), ("greedy", 1),
    ],
)  # fmt: skip
def test_out_of_bounds_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        SamplingOptions(**{key: value})  # type: ignore[arg-type]
    assert caught.value.location == key
    assert SamplingOptions() == SamplingOptions(top_k=40, top_p=0.92, temperature=0.9)
