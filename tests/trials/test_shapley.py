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
    coalitions_along,
    exact_shapley_values,
    marginal_contributions,
    mean_interaction,
    pair_interaction,
    sample_orderings,
)


def game_of(players: int, seed: int) -> dict[frozenset[int], float]:
    rng = np.random.default_rng(seed)
    return {members: float(rng.normal()) for members in coalitions(players)}


def by_definition(game: Game, players: int) -> list[float]:
    """The mean over all orders, written out."""
    orders = list(itertools.permutations(range(players)))
    return [
        float(m) for m in np.mean([marginal_contributions(game, order) for order in orders], axis=0)
    ]


games = st.tuples(st.integers(1, 5), st.integers(0, 10**6))


@given(games)
def test_shapley_values_average_orders_and_sum_to_total(given: tuple[int, int]) -> None:
    players, seed = given
    game = game_of(players, seed)
    shares = exact_shapley_values(game, players)
    assert shares == pytest.approx(by_definition(game, players), abs=1e-9)
    whole = game[frozenset(range(players))] - game[frozenset()]
    assert sum(shares) == pytest.approx(whole, abs=1e-9)


@given(games)
def test_every_order_alone_adds_up(given: tuple[int, int]) -> None:
    players, seed = given
    game = game_of(players, seed)
    for walk in sample_orderings(players, 4, seed):
        whole = game[frozenset(range(players))] - game[frozenset()]
        assert sum(marginal_contributions(game, walk)) == pytest.approx(whole, abs=1e-9)


def test_shapley_value_of_null_player_is_zero() -> None:
    base = game_of(3, 5)
    game = {members: base[members - {3}] for members in coalitions(4)}
    shares = exact_shapley_values(game, 4)
    assert shares[3] == pytest.approx(0)
    assert abs(shares[0]) > 0.01
    assert mean_interaction(pair_interaction(game, 0, 3)) == pytest.approx(0)
    assert all(marginal_contributions(game, walk)[3] == 0 for walk in sample_orderings(4, 8, 1))


def test_the_glove_game() -> None:
    # One left glove (0) and two right ones (1, 2); a pair is worth 1. Known answer: 2/3, 1/6, 1/6.
    game = {m: float(0 in m and bool(m & {1, 2})) for m in coalitions(3)}
    assert exact_shapley_values(game, 3) == pytest.approx([2 / 3, 1 / 6, 1 / 6])


def test_pair_interaction_is_the_deviation_from_additivity() -> None:
    game = {
        frozenset[int](): 1.0,
        frozenset({0}): 3.0,
        frozenset({1}): 4.0,
        frozenset({0, 1}): 10.0,
    }
    assert pair_interaction(game, 0, 1) == {frozenset(): pytest.approx(10 - 3 - 4 + 1)}
    additive = {m: float(sum(m)) for m in coalitions(4)}
    assert mean_interaction(pair_interaction(additive, 1, 2)) == pytest.approx(0)


@given(st.tuples(st.integers(2, 5), st.integers(0, 10**6)))
def test_full_interaction_equals_grabisch_roubens_index(
    given: tuple[int, int],
) -> None:
    """By their recursion: the fraction of the two as one player, less those of each without the
    other there to join."""
    players, seed = given
    game = game_of(players, seed)
    others = range(2, players)

    def share_of_first(block: frozenset[int]) -> float:
        """That of `block` as one player among the others."""
        small = {
            members: game[frozenset(others[m - 1] for m in members if m) | (block if 0 in members
                          else frozenset())]
            for members in coalitions(players - 1)
        }  # fmt: skip
        return exact_shapley_values(small, players - 1)[0]

    both, first, second = frozenset({0, 1}), frozenset({0}), frozenset({1})
    met = pair_interaction(game, 0, 1)
    assert len(met) == 2 ** (players - 2)
    oracle = share_of_first(both) - share_of_first(first) - share_of_first(second)
    assert mean_interaction(met) == pytest.approx(oracle, abs=1e-9)


def test_pair_interaction_needs_all_four_coalition_values() -> None:
    game = game_of(4, 3)
    orders = [(0, 1, 2, 3), (1, 0, 2, 3)]
    known = {m: game[m] for order in orders for m in coalitions_along(order)}
    assert set(pair_interaction(known, 0, 1)) == {frozenset()}
    assert pair_interaction(known, 0, 1)[frozenset()] == pair_interaction(game, 0, 1)[frozenset()]
    assert pair_interaction(known, 2, 3) == {}
    # All turns of one order show every pair twice: beside what stands between the two on each side.
    turns = sample_orderings(7, 7, seed=42)
    known = {m: value for m, value in game_of(7, 1).items()
             if any(m in coalitions_along(order) for order in turns)}  # fmt: skip
    for one, other in itertools.combinations(range(7), 2):
        assert len(pair_interaction(known, one, other)) == 2


def test_sampled_orders_cover_positions_and_approximate_shapley_values() -> None:
    orders = sample_orderings(5, 5, seed=2)
    for place in range(5):
        assert {order[place] for order in orders} == set(range(5))
    game = game_of(5, 9)
    contributions = np.mean(
        [marginal_contributions(game, walk) for walk in sample_orderings(5, 2000, seed=3)], axis=0
    )
    assert contributions == pytest.approx(exact_shapley_values(game, 5), abs=0.1)
    assert coalitions_along((2, 0)) == [frozenset(), frozenset({2}), frozenset({0, 2})]
