"""Shares against games whose answer is known, and the axioms that define them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.trials.shapley import (
    Game,
    coalitions,
    coalitions_of,
    exact_interaction,
    exact_shares,
    walk_shares,
    walks,
)


def game_of(players: int, seed: int) -> dict[frozenset[int], float]:
    pick = np.random.default_rng(seed)
    return {members: float(pick.normal()) for members in coalitions(players)}


def by_definition(game: Game, players: int) -> list[float]:
    """The mean over all orders, written out."""
    orders = list(itertools.permutations(range(players)))
    return [float(m) for m in np.mean([walk_shares(game, order) for order in orders], axis=0)]


games = st.tuples(st.integers(1, 5), st.integers(0, 10**6))


@given(games)
def test_shares_are_the_mean_over_all_orders_and_add_up(given: tuple[int, int]) -> None:
    players, seed = given
    game = game_of(players, seed)
    shares = exact_shares(game, players)
    assert shares == pytest.approx(by_definition(game, players), abs=1e-9)
    whole = game[frozenset(range(players))] - game[frozenset()]
    assert sum(shares) == pytest.approx(whole, abs=1e-9)


@given(games)
def test_every_order_alone_adds_up(given: tuple[int, int]) -> None:
    players, seed = given
    game = game_of(players, seed)
    for walk in walks(players, 4, seed):
        whole = game[frozenset(range(players))] - game[frozenset()]
        assert sum(walk_shares(game, walk)) == pytest.approx(whole, abs=1e-9)


def test_a_player_who_changes_nothing_gets_nothing() -> None:
    base = game_of(3, 5)
    game = {members: base[members - {3}] for members in coalitions(4)}
    shares = exact_shares(game, 4)
    assert shares[3] == pytest.approx(0)
    assert abs(shares[0]) > 0.01
    assert exact_interaction(game, 4, 0, 3) == pytest.approx(0)
    assert all(walk_shares(game, walk)[3] == 0 for walk in walks(4, 8, 1))


def test_the_glove_game() -> None:
    # One left glove (0) and two right ones (1, 2); a pair is worth 1. Known answer: 2/3, 1/6, 1/6.
    game = {m: float(0 in m and bool(m & {1, 2})) for m in coalitions(3)}
    assert exact_shares(game, 3) == pytest.approx([2 / 3, 1 / 6, 1 / 6])


def test_interaction_of_two_is_what_is_missing_to_the_sum() -> None:
    game = {
        frozenset[int](): 1.0,
        frozenset({0}): 3.0,
        frozenset({1}): 4.0,
        frozenset({0, 1}): 10.0,
    }
    assert exact_interaction(game, 2, 0, 1) == pytest.approx(10 - 3 - 4 + 1)
    additive = {m: float(sum(m)) for m in coalitions(4)}
    assert exact_interaction(additive, 4, 1, 2) == pytest.approx(0)


def test_sampled_orders_take_every_place_and_come_near_the_exact_shares() -> None:
    orders = walks(5, 5, seed=2)
    for place in range(5):
        assert {order[place] for order in orders} == set(range(5))
    game = game_of(5, 9)
    found = np.mean([walk_shares(game, walk) for walk in walks(5, 2000, seed=3)], axis=0)
    assert found == pytest.approx(exact_shares(game, 5), abs=0.1)
    assert coalitions_of((2, 0)) == [frozenset(), frozenset({2}), frozenset({0, 2})]
