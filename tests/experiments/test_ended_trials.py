"""Trials as they end: once all have ended, what they show is what the experiment says."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from descend.config import RunConfig
from descend.experiments.attribute.attribution_trials import design_attribution
from descend.experiments.compare.arms import make_arms
from descend.experiments.compare.comparison_result import Comparison
from descend.experiments.compare.comparison_trials import plan_comparison, run_comparison_trials
from descend.experiments.ended_trials import (
    BASE,
    EndedTrial,
    compare_ended_trials,
    ended_search_trial,
    name_attribution_trials,
    name_comparison_trials,
    report_trials,
)
from descend.experiments.estimate import to_loss_reduction
from descend.experiments.named_config import NamedConfig
from descend.experiments.search.search_loop import TrialEnded
from descend.report.text.experiment_summary import headline_comparison


def tiny(text: Path, **changes: object) -> RunConfig:
    return RunConfig.model_validate({
        "corpus_dir": str(text), "embed_dim": 16, "num_heads": 2, "num_layers": 2, "ff_dim": 32,
        "max_seq_len": 32, "seq_len": 16, "batch_size": 4, "vocab_size": 300,
        "precision": "float32", "threads": 1, "attention": "matmul", "compile": "off", **changes,
    })  # fmt: skip


def trial(name: str, seed: int, loss: float, **fields: object) -> EndedTrial:
    return EndedTrial(
        name=name, seed=seed, done=1, total=4, validation_loss=loss, bits_per_byte=loss / 2,
        accuracy=0.5, vocab_size=300, is_control=name == "a", **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def test_all_ended_trials_give_the_effects_of_the_comparison(text_file: Path) -> None:
    arms = make_arms([NamedConfig("base", tiny(text_file))], {"learning_rate": [0.001, 0.01]})
    plan = plan_comparison(arms, budget_unit="steps", budget=8, seeds=2)
    ended: list[EndedTrial] = []
    reporter = report_trials(name_comparison_trials(plan), ended.append)
    comparison = run_comparison_trials(plan, workers=1, on_progress=reporter)
    assert [(one.done, one.total) for one in ended] == [(n, 4) for n in (1, 2, 3, 4)]
    unit, rows = compare_ended_trials(list(reversed(ended)))
    assert unit == comparison.unit
    assert [row.name for row in rows] == [arm.name for arm in comparison.arms]
    assert rows[0].loss_reduction is None
    difference = comparison.arms[1].difference
    assert difference is not None
    expected = to_loss_reduction(difference)
    reduction = rows[1].loss_reduction
    assert reduction is not None
    assert reduction.value == pytest.approx(expected.value)
    assert reduction.ci95 == pytest.approx(expected.ci95)
    assert rows[1].bits_per_byte == pytest.approx(comparison.arms[1].bits_per_byte)


def test_effect_has_no_interval_before_the_second_pair() -> None:
    first = [trial("b", 1, 1.8), trial("a", 1, 2.0)]
    _, rows = compare_ended_trials(first)
    assert [row.name for row in rows] == ["a", "b"]
    assert rows[1].loss_reduction is not None
    assert (round(rows[1].loss_reduction.value, 6), rows[1].loss_reduction.ci95) == (0.2, None)
    _, rows = compare_ended_trials([*first, trial("b", 2, 1.7)])  # without its pair
    assert rows[1].loss_reduction is not None
    assert rows[1].loss_reduction.value == pytest.approx(0.2)
    _, rows = compare_ended_trials([*first, trial("b", 2, 1.7), trial("a", 2, 2.0)])
    assert rows[1].loss_reduction is not None
    assert rows[1].loss_reduction.ci95 is not None
    assert compare_ended_trials([trial("b", 1, 1.8)])[1][0].loss_reduction is None
    assert compare_ended_trials([]) == ("nats per token", [])


def test_trials_of_an_attribution_are_named_by_their_changes(text_file: Path) -> None:
    a, b = tiny(text_file), tiny(text_file, learning_rate=0.01, batch_size=8)
    plan = design_attribution(NamedConfig("a", a), NamedConfig("b", b), seeds=1)
    names = [one.name for trials in name_attribution_trials(plan).values() for one in trials]
    assert sorted(names) == sorted([
        BASE, "batch_size", "learning_rate", "batch_size, learning_rate",
    ])  # fmt: skip


def test_trial_of_a_search_says_how_it_ended() -> None:
    ended = TrialEnded(
        values={"learning_rate": 0.01}, bits_per_byte=None, stopped=False, failure_reason="memory",
        done=3, best=None, remaining_seconds=1.0,
    )  # fmt: skip
    reported = ended_search_trial(ended)
    assert (reported.name, reported.state, reported.done) == ("learning_rate=0.01", "failed", 3)


def test_headline_claims_what_is_significant() -> None:
    file = Path(__file__).parents[2] / "benchmarks" / "results" / "compare" / "rates.json"
    record = json.loads(file.read_text())["result"] | {"command": ""}
    rates = msgspec.convert(record, Comparison)
    assert headline_comparison(rates) == (
        "learning_rate=0.001 learns better than learning_rate=0.0003."
    )

    def with_verdict(verdict: str) -> Comparison:
        arms = [
            msgspec.structs.replace(arm, verdict=verdict if number else "first")
            for number, arm in enumerate(rates.arms)
        ]
        return msgspec.structs.replace(rates, arms=arms)

    assert headline_comparison(with_verdict("worse")) == (
        "learning_rate=0.0003 learns best of these."
    )
    assert headline_comparison(with_verdict("not significant")).startswith("Nothing here learns")
