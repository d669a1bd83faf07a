"""Sharing a difference among the changes that made it, by the Shapley value.

A game of k players gives every coalition (a set of the numbers 0 … k-1) a value. The fraction of a
player is its marginal contribution, averaged over all orders in which the players may join
(Shapley 1953). Shares add up to value(all) - value(none), whatever the game.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping

import numpy as np

Coalition = frozenset[int]
Game = Mapping[Coalition, float]


def coalitions(players: int) -> Iterator[Coalition]:
    """Yield all 2^`players` of them, small ones first."""
    for size in range(players + 1):
        for members in itertools.combinations(range(players), size):
            yield frozenset(members)


def exact_shapley_values(game: Game, players: int) -> list[float]:
    """Return the Shapley value of each player; `game` holds all coalitions."""
    contributions = [0.0] * players
    for members in coalitions(players):
        for player in set(range(players)) - members:
            weight = _orders(len(members), players) / math.factorial(players)
            contributions[player] += weight * (game[members | {player}] - game[members])
    return contributions


def pair_interaction(game: Game, first: int, second: int) -> dict[Coalition, float]:
    """Return what two players bring beyond what each brings alone, by the coalition that is there
    already; for those of which `game` holds all four values that tell it."""
    pair = frozenset((first, second))
    interactions = {}
    for members in game:
        four = (members | pair, members | {first}, members | {second}, members)
        if not members & pair and all(one in game for one in four):
            interactions[members] = game[four[0]] - game[four[1]] - game[four[2]] + game[four[3]]
    return interactions


def mean_interaction(of_pair: Mapping[Coalition, float]) -> float:
    """Return the mean over coalitions of one size, then over the sizes.

    For all coalitions the Shapley interaction index (Grabisch and Roubens 1999, "An axiomatic
    approach to the concept of interaction"), for some of them an estimate of it.
    """
    sizes: dict[int, list[float]] = {}
    for members, value in of_pair.items():
        sizes.setdefault(len(members), []).append(value)
    return float(np.mean([np.mean(values) for values in sizes.values()]))


def sample_orderings(players: int, count: int, seed: int) -> list[tuple[int, ...]]:
    """Return `count` orders of joining: rotations of random orders, so that places are taken
    evenly.

    Each order alone is uniformly random, so shares averaged over them are unbiased; after
    `players` rotations every player has stood at every place once (sampling stratified by place:
    Castro et al. 2017, Computers & Operations Research 82:180).
    """
    pick = np.random.default_rng(seed)
    orders: list[tuple[int, ...]] = []
    while len(orders) < count:
        base = [int(p) for p in pick.permutation(players)]
        rotations = [int(t) for t in pick.permutation(players)]
        orders += [(*base[t:], *base[:t]) for t in rotations]
    return orders[:count]


def coalitions_along(walk: tuple[int, ...]) -> list[Coalition]:
    """Return the coalitions met when the players join in this order, from none to all."""
    return [frozenset(walk[:size]) for size in range(len(walk) + 1)]


def marginal_contributions(game: Game, walk: tuple[int, ...]) -> list[float]:
    """Return the marginal contribution of each player, by number, when they join in this order."""
    met = coalitions_along(walk)
    contributions = [0.0] * len(walk)
    for index, player in enumerate(walk):
        contributions[player] = game[met[index + 1]] - game[met[index]]
    return contributions


def _orders(before: int, players: int) -> int:
    """Orders in which a player joins right after `before` given ones."""
    return math.factorial(before) * math.factorial(players - before - 1)
