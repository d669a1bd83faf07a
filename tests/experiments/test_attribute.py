"""Attribution: shares add up, whichever way they were found; what differs is found in groups."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.random import Generator

from descend.api import attribute as api_attribute
from descend.artifacts import ATTRIBUTION_FILE
from descend.cli.attribute import attribute as attribute_verb
from descend.cli.main import run as descend
from descend.config import RunConfig, make_config
from descend.errors import ConfigError
from descend.experiments.attribute.attribution_result import Attribution
from descend.experiments.attribute.attribution_trials import (
    AttributionDesign,
    compute_attribution,
    design_attribution,
    on_common_corpus,
    run_attribution_trials,
)
from descend.experiments.attribute.config_diff import apply_diff, diff_configs
from descend.experiments.experiment_folder import read_record
from descend.experiments.named_config import NamedConfig
from descend.presets import PRESETS
from descend.report.text.experiment_summary import summarize_attribution
from descend.report.text.experiment_tables import attribution_text, describe_method
from descend.trials.shapley import Game, coalitions, exact_shapley_values
from descend.trials.trial_spec import TrialResult


def pair(tiny: dict[str, object], **changes: Any) -> tuple[NamedConfig, NamedConfig]:
    values = tiny | {"epoch": 1}
    return NamedConfig("a", make_config(values)), NamedConfig("b", make_config(values | changes))


def make_result(loss: float, vocab_size: int = 300) -> TrialResult:
    return TrialResult(
        key="", steps=1, tokens=64, train_tokens=64, vocab_size=vocab_size, parameters=1,
        seconds=2 * loss, peak_bytes=None, curve=[], validation_loss=loss, accuracy=1 - loss,
        bits_per_byte=loss / 2, diverged_step=None, chunk_losses=[],
    )  # fmt: skip


def test_from_old_to_guide_there_are_seven_changes() -> None:
    changes = diff_configs(make_config(PRESETS["old"]), make_config(PRESETS["guide"]))
    assert [c.name for c in changes] == [
        "embed_dim + num_heads", "num_layers", "ff_dim", "batch_size", "seq_len", "epoch",
        "learning_rate",
    ]  # fmt: skip
    assert changes[0].description == "embed_dim 128 → 256, num_heads 4 → 8"
    whole = apply_diff(make_config(PRESETS["old"]), changes, seed=42)
    assert whole == make_config(PRESETS["guide"])


def test_dependent_keys_form_one_valid_change() -> None:
    old = make_config({"max_seq_len": 64, "seq_len": 32, "learning_rate": 0.001})
    new = make_config({"max_seq_len": 256, "seq_len": 128, "learning_rate": {1: 1e-4, 2: 1e-3}})
    changes = diff_configs(old, new)
    assert [c.name for c in changes] == ["max_seq_len + seq_len", "learning_rate + schedule"]
    for change in changes:
        assert isinstance(apply_diff(old, [change], 1), RunConfig)


def test_contributions_match_true_values_exactly_and_by_sampling(tiny: dict[str, object]) -> None:
    # loss = 3 - 1 [epoch] + 0.5 [batch] - 0.4 [epoch and batch]; weight decay changes nothing.
    a, b = pair(tiny, epoch=2, batch_size=8, weight_decay=0.2)

    def loss(names: set[str]) -> float:
        return (3 - ("epoch" in names) + 0.5 * ("batch_size" in names)
                - 0.4 * ({"epoch", "batch_size"} <= names))  # fmt: skip

    for runs in (100, 7):
        plan = design_attribution(a, b, seeds=1, runs=runs)
        assert plan.exact == (runs == 100)
        assert len(plan.required_runs()) <= runs
        attribution = compute_attribution(plan, {
            (seed, members): make_result(loss({plan.changes[m].name for m in members}))
            for seed, members in plan.required_runs()
        })  # fmt: skip
        shares = {s.key: s for s in attribution.contributions}
        assert sum(s.value for s in attribution.contributions) == pytest.approx(
            attribution.total_difference.value
        )
        assert sum(s.seconds.value for s in attribution.contributions) == pytest.approx(
            2 * attribution.total_difference.value
        )
        assert attribution.total_difference.value == pytest.approx(-0.9)
        assert shares["weight_decay"].value == pytest.approx(0)
        if plan.exact:
            assert shares["epoch"].value == pytest.approx(-1.2)
            assert shares["batch_size"].value == pytest.approx(0.3)
            assert shares["epoch"].effect_first == pytest.approx(-1.0)
            assert shares["epoch"].effect_last == pytest.approx(-1.4)
            assert set(attribution.interactions[0].keys) == {"epoch", "batch_size"}
            assert attribution.interactions[0].value == pytest.approx(-0.4)
            assert attribution.interactions[0].sets == 2  # with and without weight decay
            assert attribution.interactions[1].value == pytest.approx(0)
    # Two changes alike in all they do get the same share.
    plan = design_attribution(a, b, runs=100)
    alike = compute_attribution(
        plan,
        {
            (seed, members): make_result(3.0 - 0.2 * len(members) ** 2)
            for seed, members in plan.required_runs()
        },
    )
    assert len({round(s.value, 9) for s in alike.contributions}) == 1


def test_pair_interactions_are_estimated_from_sampled_coalitions(tiny: dict[str, object]) -> None:
    # Beside num_layers the pair of epoch and batch_size brings -0.4, beside nothing -0.2.
    a, b = pair(tiny, epoch=2, batch_size=8, weight_decay=0.2, num_layers=3)

    def loss(names: set[str]) -> float:
        both = {"epoch", "batch_size"} <= names
        return 3 - ("epoch" in names) - both * (0.2 + 0.2 * ("num_layers" in names))

    plan = design_attribution(a, b, runs=14)
    assert len(plan.orders[plan.seeds[0]]) == 4
    games = {
        (seed, members): make_result(loss({plan.changes[m].name for m in members}))
        for seed, members in plan.required_runs()
    }
    attribution = compute_attribution(plan, games)
    strongest = attribution.interactions[0]
    assert set(strongest.keys) == {"epoch", "batch_size"}
    assert strongest.sets == 2
    assert strongest.range == pytest.approx((-0.4, -0.2))
    assert strongest.value == pytest.approx(-0.3)
    text = attribution_text(attribution)
    assert "(estimated from the sampled orders)" in text
    assert "+0.300 (2 sets: +0.200 to +0.400)" in text
    # A single order meets no pair without, with each and with both.
    alone = design_attribution(a, b, runs=5)
    one = compute_attribution(
        alone, {key: games.get(key, make_result(3.0)) for key in alone.required_runs()}
    )
    assert one.interactions == []
    assert "sum of both" not in attribution_text(one)


def sentence_of(
    plan: AttributionDesign, games: dict[tuple[int, frozenset[int]], TrialResult]
) -> str:
    return summarize_attribution(compute_attribution(plan, games))


def test_one_seed_and_one_order_claim_nothing(tiny: dict[str, object]) -> None:
    a, b = pair(tiny, epoch=2, batch_size=8)

    def said(**terms: int) -> str:
        plan = design_attribution(a, b, **terms)
        # Each change brings what it brings, with a little chance of each seed's own.
        return sentence_of(
            plan,
            {
                (seed, members): make_result(
                    3.0 - 0.5 * len(members) - 0.001 * seed * len(members) ** 2
                )
                for seed, members in plan.required_runs()
            },
        )

    start = "The change from a to b lowers the validation loss by "
    assert said(seeds=1) == (
        f"{start}1.168 nats per token (one seed); no significance test is possible with one seed. "
        "Use more --num-seeds."
    )
    assert "; no significance test is possible with one order of one seed." in said(runs=3)
    assert said(seeds=3) == (
        f"{start}1.172 nats per token; significant improvement: batch_size (+0.586), "
        "epoch (+0.586)."
    )


def test_single_seed_attribution_states_the_scope(tiny: dict[str, object]) -> None:
    a, b = pair(tiny, epoch=2, batch_size=8, weight_decay=0.2)
    plan = design_attribution(a, b, runs=7)
    assert not plan.exact
    attribution = compute_attribution(plan, {
        (seed, members): make_result(3.0 - sum(0.1 * m + 0.1 for m in members))
        for seed, members in plan.required_runs()
    })  # fmt: skip
    assert " (one seed); over its 2 orders, significant improvement: " in summarize_attribution(
        attribution
    )


def test_multiple_orders_attribution_states_the_seeds() -> None:
    presets = [NamedConfig(name, make_config(PRESETS[name])) for name in ("old", "guide")]

    def said(orders: int) -> str:
        plan = design_attribution(*presets, seeds=2, runs=2 * (2 + 6 * orders))
        assert plan.order_count == orders
        return sentence_of(plan, {
            (seed, made): make_result(3.0 - 0.1 * len(made)) for seed, made in plan.required_runs()
        })  # fmt: skip

    # As many orders as changes meet every run once.
    assert " nats per token; significant improvement: " in said(7)
    assert "; over 8 orders of each of these 2 seeds, significant improvement: " in said(8)


EXPERIMENTS = 150
"""Made up: so many that of 5 % wrong ones a tenth is out of the ordinary."""


def wrong_ones(
    plan: AttributionDesign, game_of: Callable[[Generator], Game]
) -> tuple[float, float]:
    """Shares of made-up experiments with some interval without zero, and with a word on a change,
    where each seed has a game of its own."""
    rng = np.random.default_rng(0)
    alone, text = 0, 0
    for _ in range(EXPERIMENTS):
        games = {seed: game_of(rng) for seed in plan.seeds}
        attribution = compute_attribution(
            plan, {one: make_result(3 + games[one[0]][one[1]]) for one in plan.required_runs()}
        )
        alone += any(
            s.ci95 is not None and s.ci95[0] * s.ci95[1] > 0 for s in attribution.contributions
        )
        sentence = summarize_attribution(attribution)
        text += any(f"significant {effect}" in sentence for effect in ("improvement", "harm"))
    return alone / EXPERIMENTS, text / EXPERIMENTS


def noise(pick: Generator) -> dict[frozenset[int], float]:
    """Seven changes that do nothing; every run ends where chance will have it."""
    return {members: 0.01 * pick.standard_normal() for members in coalitions(7)}


def shared_by_none(pick: Generator) -> dict[frozenset[int], float]:
    """A game of seven in which all depends on the others, and each share is zero all the same."""
    game = noise(pick)
    shares = exact_shapley_values(game, 7)
    return {members: value - sum(shares[m] for m in members) for members, value in game.items()}


def test_attribution_rarely_claims_null_changes() -> None:
    old, guide = (NamedConfig(name, make_config(PRESETS[name])) for name in ("old", "guide"))
    plan = design_attribution(old, guide, seeds=3)
    assert (len(plan.changes), plan.order_count) == (7, 3)
    # One of seven intervals alone leaves zero out by chance in about three experiments of ten.
    alone, text = wrong_ones(plan, noise)
    assert alone > 0.2
    assert text < 0.1
    # What orders of one seed say is said of that seed: its own shares are what must be zero.
    plan = design_attribution(old, guide)
    assert plan.order_count == 10
    alone, text = wrong_ones(plan, shared_by_none)
    assert alone > 0.08
    assert text < 0.06


def test_attribution_claims_are_corrected_but_intervals_are_not(
    tiny: dict[str, object],
) -> None:
    # What a change brings with each of three seeds: the first is significant, the second by itself.
    brings = {"epoch": (-0.30, -0.31, -0.29), "batch_size": (0.10, 0.13, 0.06)}

    def attribute_changes(names: set[str]) -> Attribution:
        changes = {"epoch": 2, "batch_size": 8, "weight_decay": 0.2}
        a, b = pair(tiny, **{name: changes[name] for name in names})
        plan = design_attribution(a, b, seeds=3)
        return compute_attribution(plan, {
            (seed, made): make_result(3.0 + sum(
                brings.get(plan.changes[m].name, (0.0, 0.0, 0.0))[seed - plan.seeds[0]]
                for m in made
            )) for seed, made in plan.required_runs()
        })  # fmt: skip

    three, one = (
        attribute_changes({"epoch", "batch_size", "weight_decay"}),
        attribute_changes({"batch_size"}),
    )
    batch = three.contributions[-1]
    assert batch.key == "batch_size"
    assert batch.ci95 == pytest.approx(one.contributions[0].ci95)
    assert batch.ci95 is not None
    assert batch.ci95[0] > 0
    assert batch.p == pytest.approx(2 * (one.contributions[0].p or 0))
    assert summarize_attribution(three).endswith(
        "significant improvement: epoch (+0.300); not significant: weight_decay, batch_size."
    )
    assert summarize_attribution(one).endswith("significant harm: batch_size (-0.097).")
    assert describe_method(three).endswith(
        "; brackets: 95 % CI; significance is Holm-corrected for 3 changes"
    )
    assert describe_method(one).endswith("; brackets: 95 % CI")


def test_where_the_vocabulary_changes_bytes_are_shared_out(tiny: dict[str, object]) -> None:
    a, b = pair(tiny, vocab_size=320)
    plan = design_attribution(a, b)
    attribution = compute_attribution(
        plan,
        {(s, m): make_result(3.0 - len(m), 300 + 20 * len(m)) for s, m in plan.required_runs()},
    )
    assert attribution.unit == "bits per byte"
    assert attribution.total_difference.value == pytest.approx(-0.5)


def test_real_runs_add_up(tiny: dict[str, object]) -> None:
    a, b = pair(tiny, learning_rate=0.004, epoch=2)
    attribution = run_attribution_trials(
        design_attribution(a, b, seeds=2, train_fraction=0.4), workers=1
    )
    assert attribution.method == "exact"
    assert len(attribution.runs) == 8
    ends = {
        seed: [
            r.validation_loss
            for r in attribution.runs
            if r.seed == seed and len(r.changed) in (0, 2)
        ]
        for seed in attribution.seeds
    }
    total = sum(last - first for first, last in ends.values()) / 2
    assert attribution.total_difference.value == pytest.approx(total)
    assert sum(s.value for s in attribution.contributions) == pytest.approx(total)
    assert sum(s.accuracy.value for s in attribution.contributions) == pytest.approx(
        attribution.total_accuracy.value
    )
    assert attribution.total_difference.value < -0.1
    assert all(s.ci95 is not None for s in attribution.contributions)
    text = attribution_text(attribution)
    assert "learning_rate 0.001 → 0.004" in text
    assert "8 runs: all sets of changes, 2 seeds, on 40% of the training text" in text
    assert msgspec.json.decode(msgspec.json.encode(attribution), type=Attribution) == attribution


def test_the_verb(
    tiny: dict[str, object], tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(tiny_file.read_text().replace("epoch = 2", "epoch = 1"))
    line = ["attribute", str(tiny_file), str(other), str(tiny["corpus_dir"]), "--json",
            "--num-seeds", "1", "--train-fraction", "0.5", "--workers", "1",
            "--save-dir", "here"]  # fmt: skip
    assert descend(line) == 0
    out, err = capsys.readouterr()
    attribution = json.loads(out)
    assert [s["key"] for s in attribution["contributions"]] == ["epoch"]
    assert attribution["contributions"][0]["loss_reduction"] < 0  # fewer epochs
    assert attribution["contributions"][0]["ci95"] is None
    assert "2 runs: about" in err
    assert read_record(Path("here"), ATTRIBUTION_FILE, Attribution).train_fraction == 0.5


def test_mistakes_get_one_clear_line(tiny: dict[str, object]) -> None:
    a, b = pair(tiny)
    with pytest.raises(ConfigError, match="no difference"):
        design_attribution(a, b)
    with pytest.raises(ConfigError, match="same text on both sides"):
        design_attribution(*pair(tiny, validation_fraction=0.2))
    with pytest.raises(ConfigError, match="at least 9: 2 changes and 3 seeds"):
        design_attribution(*pair(tiny, epoch=2, batch_size=8), seeds=3, runs=8)
    elsewhere = NamedConfig("b", make_config(tiny | {"corpus_dir": "stories", "epoch": 1}))
    with pytest.raises(ConfigError, match="corpus_dir"):
        design_attribution(*on_common_corpus(a, elsewhere, None))
    assert on_common_corpus(a, elsewhere, "python")[1].config.corpus_dir == "python"


def test_three_seeds_are_the_default_so_that_something_can_be_said() -> None:
    for call in (api_attribute, attribute_verb):
        assert inspect.signature(call).parameters["seeds"].default == 3
