"""What goes on inside a model while it reads a text: `descend.api.inspection`."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from descend.api.inspection import (
    MAX_TOKENS,
    find_neighbors,
    inspect_text,
    load_at,
    measure_ablations,
)
from descend.api.model import Model
from descend.errors import UserError
from descend.metrics.ablation import Ablation

TEXT = "The cat sleeps on the mat."


@pytest.fixture(scope="module")
def model(trained: Path) -> Model:
    return load_at(trained, "model")


def test_inspect_text_tells_one_consistent_story(model: Model) -> None:
    result = inspect_text(model, TEXT)
    count = len(result.tokens)
    assert "".join(token.text for token in result.tokens) == TEXT
    assert not result.is_cut
    assert (result.tokens[0].loss, result.tokens[0].probability) == (None, None)
    losses = [token.loss for token in result.tokens[1:]]
    assert result.mean_loss == pytest.approx(sum(losses) / len(losses))  # type: ignore[arg-type]
    for token in result.tokens[1:]:
        assert token.loss is not None
        assert token.probability == pytest.approx(math.exp(-token.loss))
    # Layers: the start and each block, for each token; the likeliest first.
    assert len(result.layers) == 1 + 2
    assert all(len(layer) == count for layer in result.layers)
    for top in result.layers[-1]:
        chances = [guess.probability for guess in top]
        assert chances == sorted(chances, reverse=True)
    # The last layer is the output: where its first guess is the next token, chances agree.
    hits = [
        n for n in range(count - 1) if result.layers[-1][n][0].text == result.tokens[n + 1].text
    ]
    assert hits
    for n in hits:
        assert result.layers[-1][n][0].probability == pytest.approx(
            result.tokens[n + 1].probability, abs=1e-4
        )
    # Attention: a triangle whose rows sum to a thousand, but for rounding.
    assert [len(heads) for heads in result.attention] == [2, 2]
    for heads in result.attention:
        for rows in heads:
            assert [len(row) for row in rows] == list(range(1, count + 1))
            assert all(abs(sum(row) - 1000) <= len(row) for row in rows)


def test_inspect_text_continues_greedily(model: Model) -> None:
    expected = model.complete([TEXT], 24, greedy=True)[0].text
    assert inspect_text(model, TEXT).continuation == expected


def test_switched_off_part_matters_and_comes_back(model: Model) -> None:
    before = inspect_text(model, TEXT)
    without = inspect_text(model, TEXT, Ablation(1))
    assert without.mean_loss != pytest.approx(before.mean_loss, abs=1e-3)
    assert inspect_text(model, TEXT) == before
    effects = {(e.layer, e.head): e.loss_increase for e in measure_ablations(model, TEXT)}
    assert len(effects) == 2 * (1 + 2)
    assert effects[1, None] == pytest.approx(without.mean_loss - before.mean_loss, abs=1e-4)


def test_long_text_is_cut_at_what_the_model_knows(model: Model) -> None:
    result = inspect_text(model, TEXT * 30)
    assert result.is_cut
    assert len(result.tokens) == min(MAX_TOKENS, model.trained_context)


def test_past_weights_are_more_surprised(trained: Path, model: Model) -> None:
    untrained = inspect_text(load_at(trained, "snapshot-0"), TEXT)
    assert untrained.mean_loss > inspect_text(model, TEXT).mean_loss + 1
    assert untrained.mean_loss == pytest.approx(math.log(model.network.shape.vocab_size), abs=0.3)


@pytest.mark.parametrize("text", ["", "T"])
def test_inspect_text_asks_for_two_tokens(model: Model, text: str) -> None:
    with pytest.raises(UserError, match="at least two tokens"):
        inspect_text(model, text)


def test_parts_and_tokens_that_are_not_there_are_refused(model: Model) -> None:
    with pytest.raises(UserError, match="layer 9 of 2"):
        inspect_text(model, TEXT, Ablation(9))
    with pytest.raises(UserError, match="token 100000"):
        find_neighbors(model, 100_000)
    assert len(find_neighbors(model, 5)) == 12
