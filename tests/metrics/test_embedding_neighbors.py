"""Neighbors of a token, held against planted directions."""

from __future__ import annotations

import pytest
import torch

from descend.metrics.embedding_neighbors import nearest_tokens

from .test_layer_predictions import make_model


def test_nearest_tokens_find_planted_directions_in_order() -> None:
    model = make_model("modern")
    with torch.no_grad():
        vectors = model.token_embedding.weight
        vectors -= vectors.mean(0)
        vectors[7] = vectors[3] * 5  # the same direction, another length
        vectors[9] = -vectors[3]
        vectors -= vectors.mean(0)
        vectors[7] = vectors[3] * 2
        vectors[0] -= vectors.sum(0)  # the mean is zero again
    neighbors = nearest_tokens(model, 3, 49)
    assert len(neighbors) == 49
    assert neighbors[0] == (7, pytest.approx(1, abs=1e-5))
    assert 3 not in [token for token, _ in neighbors]
    cosines = [cosine for _, cosine in neighbors]
    assert cosines == sorted(cosines, reverse=True)
    others = model.token_embedding.weight.detach()
    expected = torch.nn.functional.cosine_similarity(others[3], others[neighbors[1][0]], dim=0)
    assert cosines[1] == pytest.approx(float(expected), abs=1e-4)


def test_nearest_tokens_ignore_a_direction_that_all_share() -> None:
    model = make_model("modern")
    before = nearest_tokens(model, 3, 5)
    with torch.no_grad():
        model.token_embedding.weight += 100
    shifted = nearest_tokens(model, 3, 5)
    assert [token for token, _ in shifted] == [token for token, _ in before]


def test_nearest_tokens_refuse_an_unknown_id() -> None:
    with pytest.raises(IndexError):
        nearest_tokens(make_model("gpt"), 50, 5)
