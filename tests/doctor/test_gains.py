"""What is made of outcomes: intervals, and what a short trial is worth at full length."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from descend.config import make_config
from descend.doctor.cause import Change
from descend.doctor.gains import all_gains, curve_of
from descend.doctor.lanes import Lane
from descend.doctor.on_top import race_on_top
from descend.doctor.race import HALF, OF_THE_CURVE, Race
from descend.signals.curve import PowerLaw
from descend.trials.arms import Outcome

LAW = PowerLaw(floor=2.0, scale=40.0, offset=0.0, exponent=0.5)
FULL = 10_000
TWICE = Lane("undertrained", Change("twice the steps", {"epoch": 2}, steps=2.0), buys=True)
HIGHER = Lane("learning_rate_too_low", Change("three times", {"learning_rate": 0.003}))


def outcome(loss: float) -> Outcome:
    return Outcome(
        key="", steps=1, tokens=1000, train_tokens=1000, vocab_size=10, parameters=1, seconds=1.0,
        peak_bytes=None, curve=[], validation_loss=loss, accuracy=0.1, bits_per_byte=loss,
        diverged_at=None, losses=[],
    )  # fmt: skip


def race(steps: int, losses: dict[Lane | None, list[float]]) -> Race:
    """A race that was run, with these losses by lane and seed."""
    case = SimpleNamespace(
        total_steps=FULL, config=SimpleNamespace(seed=0), epochs=(), steps=range(FULL)
    )
    found = Race(cast(Any, case), make_config({}), steps, 0.0, lambda stage, share: None)
    for lane, by_seed in losses.items():
        for seed, loss in enumerate(by_seed):
            found.outcomes[lane, seed] = outcome(loss)
    return found


def test_the_interval_is_that_of_the_paired_differences() -> None:
    losses: dict[Lane | None, list[float]] = {None: [4.0, 5.0, 6.0], HIGHER: [3.8, 4.8, 5.8]}
    (gain,) = all_gains(race(FULL, losses), None)
    assert gain.mean == pytest.approx(0.2)  # pairs cancel what seeds have in common
    assert gain.seeds == 3
    assert 0.15 < gain.low < 0.2 < gain.high < 0.25
    assert gain.carried is None
    assert gain.claimable


def test_a_gain_among_many_on_one_seed_must_be_large() -> None:
    others = [Lane("learning_rate_too_low", Change(f"no {n}", {})) for n in range(9)]
    losses: dict[Lane | None, list[float]] = {None: [4.0], HIGHER: [3.92]}
    alone = all_gains(race(FULL, losses), None)[0]
    among = all_gains(race(FULL, losses | {x: [4.0] for x in others}), None)[0]
    assert alone.low == among.low > 0
    assert alone.claimable
    assert not among.claimable  # one of ten gains as much by chance


def test_what_the_judged_text_leaves_open_counts_in_the_chance_too() -> None:
    """Three seeds agree, but the gain stands in one of four stretches of the text."""
    losses: dict[Lane | None, list[float]] = {None: [4.0] * 3, HIGHER: [3.9] * 3}
    even, uneven = race(FULL, losses), race(FULL, losses)
    for found, treated in ((even, [3.9] * 4), (uneven, [3.6, 4.0, 4.0, 4.0])):
        for lane, blocks in ((None, [4.0] * 4), (HIGHER, treated)):
            found.outcomes[lane, 0] = msgspec.structs.replace(outcome(blocks[0]), losses=blocks)
            found.outcomes[lane, 0] = msgspec.structs.replace(
                found.outcomes[lane, 0], validation_loss=losses[lane][0]
            )
    (sure,), (open_,) = all_gains(even, None), all_gains(uneven, None)
    assert sure.mean == open_.mean
    assert sure.p < 0.01 < 0.1 < open_.p
    assert sure.claimable
    assert not open_.claimable
    assert open_.undecided


def test_what_takes_away_gains_what_it_costs() -> None:
    half = Lane("undertrained", Change("half", {}, train_share=0.5, takes_away=True), buys=True)
    (gain,) = all_gains(race(FULL, {None: [4.0], half: [4.3]}), None)
    assert gain.mean == pytest.approx(0.3)
    assert gain.treated == pytest.approx(4.3)


def test_a_short_trial_is_worth_the_steps_it_saves() -> None:
    steps = 1000
    losses: dict[Lane | None, list[float]] = {
        None: [LAW.at(steps)], TWICE: [LAW.at(2 * steps)], HIGHER: [LAW.at(4 * steps)],
    }  # fmt: skip
    twice, higher = all_gains(race(steps, losses), LAW.at(FULL))
    # The higher rate saves three quarters of the steps, at full length too.
    assert higher.carried == pytest.approx(LAW.at(FULL) - LAW.at(4 * FULL), rel=0.1)
    assert higher.mean == pytest.approx(LAW.at(steps) - LAW.at(4 * steps))
    assert higher.at_full_length < higher.mean / 2
    assert twice.carried == pytest.approx(LAW.at(FULL) - LAW.at(2 * FULL), rel=0.1)


def test_the_control_at_other_lengths_is_a_curve_and_no_remedy() -> None:
    """It jumps at 5,000 steps, and no more after 10,000: twice the steps of a short trial gain
    much, twice the run nothing, which only a run of that length shows."""
    steps = 3000
    twice_the_run = Lane(
        OF_THE_CURVE, Change("twice the run", {"epoch": 2}, steps=2 * FULL / steps)
    )
    losses: dict[Lane | None, list[float]] = {None: [2.0], HALF: [2.05], TWICE: [1.0]}
    found = race(steps, losses)
    (unseen,) = all_gains(found, 0.99)
    found.outcomes[twice_the_run, 0] = outcome(0.99)
    (seen,) = all_gains(found, 0.99)
    assert found.lanes() == [TWICE]
    assert found.lengths == {1500.0: 2.05, 3000.0: 2.0, 6000.0: 1.0, 2.0 * FULL: 0.99}
    assert seen.mean == unseen.mean == pytest.approx(1.0)
    assert seen.at_full_length == pytest.approx(0.0, abs=0.01)
    assert not seen.claimable


def test_how_far_seeds_differ_is_taken_from_the_race() -> None:
    """A gain of 0.1 on one seed says less where others swing by that from seed to seed."""
    swings = [Lane("learning_rate_too_low", Change(f"swings {n}", {})) for n in range(2)]
    losses: dict[Lane | None, list[float]] = {None: [4.0, 4.0, 4.0], HIGHER: [3.9]}
    (calm,) = all_gains(race(FULL, losses), None)
    *_, among = all_gains(race(FULL, {x: [4.0, 4.15, 3.85] for x in swings} | losses), None)
    assert among.lane == HIGHER
    assert among.mean == calm.mean
    assert among.error > 3 * calm.error


def test_what_no_number_of_steps_reaches_is_no_head_start() -> None:
    """Letters that repeat those further back than the run reads: its curve is flat for ever."""
    losses: dict[Lane | None, list[float]] = {None: [1.95], TWICE: [1.95], HIGHER: [1.2]}
    _, higher = all_gains(race(1000, losses), 1.95)
    assert higher.at_full_length == pytest.approx(0.75)
    assert higher.claimable


def test_of_two_gains_beyond_a_steep_curve_the_larger_stays_larger() -> None:
    """Neither is reached by steps that are followed; as head starts both are worth one."""
    words = Lane("vocabulary_too_small", Change("more tokens", {"vocab_size": 1200}))
    losses: dict[Lane | None, list[float]] = {
        None: [LAW.at(1000)], TWICE: [LAW.at(2000)], words: [1.7], HIGHER: [1.3],
    }  # fmt: skip
    _, smaller, larger = all_gains(race(1000, losses), LAW.at(FULL))
    assert larger.at_full_length > smaller.at_full_length + 0.05
    # What lasts is what they are ahead of the full run, ten times as long, already.
    assert larger.at_full_length == pytest.approx(LAW.at(FULL) - 1.3)
    assert smaller.at_full_length == pytest.approx(LAW.at(FULL) - 1.7)


def test_half_of_a_text_read_twice_says_little_of_twice_the_text() -> None:
    change = Change("half", {}, train_share=0.5, takes_away=True, opposite=0.3)
    lane = Lane("undertrained", change, buys=True)
    (gain,) = all_gains(race(FULL, {None: [4.0], lane: [4.2]}), None)
    assert gain.mean == pytest.approx(0.2)
    assert gain.at_full_length == pytest.approx(0.06)
    assert not gain.claimable  # 3 % of 4 nats would have to be bought


def test_what_loses_is_not_turned_into_a_gain() -> None:
    steps = 1000
    losses: dict[Lane | None, list[float]] = {
        None: [LAW.at(steps)], TWICE: [LAW.at(2 * steps)], HIGHER: [LAW.at(steps) + 0.3],
    }  # fmt: skip
    _, higher = all_gains(race(steps, losses), LAW.at(FULL))
    assert higher.at_full_length < 0
    assert not higher.claimable


def test_remedies_that_hurt_do_not_make_one_that_helps_doubtful() -> None:
    worse = Lane("learning_rate_too_low", Change("worse", {}))
    losses: dict[Lane | None, list[float]] = {None: [4.0], HIGHER: [3.9], worse: [4.4]}
    helps, hurts = all_gains(race(FULL, losses), None)
    assert helps.claimable
    assert hurts.p > 0.5


def test_what_is_a_gain_is_a_share_where_a_token_says_little() -> None:
    """Letters and texts of few words: a hundredth of a nat is much there."""
    losses: dict[Lane | None, list[float]] = {None: [0.3] * 3, HIGHER: [0.29, 0.2905, 0.2895]}
    (gain,) = all_gains(race(FULL, losses), None)
    assert gain.least == pytest.approx(0.003)
    assert gain.claimable


def test_a_remedy_is_judged_by_its_own_seeds() -> None:
    """That another one swings from seed to seed does not hide a gain that never fails."""
    swinging = Lane("learning_rate_too_low", Change("swinging", {}))
    losses: dict[Lane | None, list[float]] = {
        None: [4.0, 4.0, 4.0], HIGHER: [3.8, 3.81, 3.79], swinging: [3.2, 4.5, 3.9],
    }  # fmt: skip
    steady, wild = all_gains(race(FULL, losses), None)
    assert steady.claimable
    assert steady.error < wild.error / 10
    assert not wild.claimable


def test_a_larger_model_is_held_to_more_steps_by_the_curve_where_those_were_not_tried() -> None:
    steps, wider = 1000, Lane("model_too_small", Change("wider", {"embed_dim": 64}), buys=True)
    losses: dict[Lane | None, list[float]] = {
        None: [LAW.at(steps)], HALF: [LAW.at(steps / 2)], wider: [LAW.at(steps) - 0.5],
    }  # fmt: skip
    found = race(steps, losses)
    slow = msgspec.structs.replace(found.outcomes[wider, 0], seconds=3.0)
    found.outcomes[wider, 0] = slow
    (gain,) = all_gains(found, LAW.at(FULL))
    in_that_time = LAW.at(steps) - LAW.at(3 * steps)
    assert gain.equal_time == pytest.approx(0.5 - in_that_time, abs=0.02)


def test_what_ends_below_the_full_run_in_a_part_of_its_steps_is_worth_that_at_least() -> None:
    """The control hardly falls any more, so no number of steps says what it is worth."""
    losses: dict[Lane | None, list[float]] = {None: [1.20], TWICE: [1.14], HIGHER: [1.10]}
    twice, higher = all_gains(race(2500, losses), 1.135)
    assert higher.at_full_length == pytest.approx(0.035)
    assert twice.at_full_length < 0.01


def test_what_comes_on_top_is_carried_along_the_curve_from_where_the_first_remedy_leads() -> None:
    """A rate that saves three quarters of the steps, and on top of it a batch that saves half: as
    late on the same curve, half the steps gain less than they would have at first."""
    steps = 1000
    losses: dict[Lane | None, list[float]] = {
        None: [LAW.at(steps)], TWICE: [LAW.at(2 * steps)], HIGHER: [LAW.at(4 * steps)],
    }  # fmt: skip
    first = race(steps, losses)
    own = LAW.at(FULL)
    _, higher = all_gains(first, own)
    assert higher.steps_worth == pytest.approx(4.0, rel=0.05)
    on_top = race_on_top(first, higher, curve_of(first, own))
    assert on_top.head_start == higher.steps_worth
    batch = Lane("batch_too_large", Change("half the batch", {"batch_size": 4}))
    on_top.outcomes[None, 0] = outcome(LAW.at(4 * steps))
    on_top.outcomes[batch, 0] = outcome(LAW.at(8 * steps))
    (second,) = all_gains(on_top, None)
    assert second.carried == pytest.approx(LAW.at(4 * FULL) - LAW.at(8 * FULL), rel=0.2)
    assert second.at_full_length < second.mean / 2


def test_what_more_text_gains_at_least_counts_where_less_text_costs_anything() -> None:
    change = Change("half", {}, takes_away=True, opposite=0.5, at_most=0.2, at_least=0.6)
    half = Lane("too_little_data", change, buys=True)
    (sure,) = all_gains(race(FULL, {None: [4.0] * 3, half: [4.3, 4.3, 4.31]}), None)
    (none,) = all_gains(race(FULL, {None: [4.0] * 3, half: [4.01, 3.99, 4.0]}), None)
    assert sure.at_full_length == 0.6
    assert none.at_full_length < 0.01
