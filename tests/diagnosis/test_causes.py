"""The causes: folder, tuple, pages and changes held against each other."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pytest

from descend.config import RunConfig, make_config
from descend.diagnosis import causes
from descend.diagnosis.cause import HEADINGS, Cause
from descend.diagnosis.causes import (
    CAUSES,
    diverged,
    learning_rate_too_high,
    learning_rate_too_low,
    over_regularized,
    too_little_data,
)
from descend.diagnosis.causes.too_little_data import MAX_MORE, adding_over_halving
from descend.diagnosis.reference_ranges import REFERENCE_RANGES
from descend.metrics.measurement import Measurement

FOLDER = Path(causes.__file__).parent
NAMES = [
    "learning_rate_too_low",
    "learning_rate_too_high",
    "diverged",
    "model_too_small",
    "too_little_data",
    "undertrained",
    "batch_too_small",
    "batch_too_large",
    "context_too_short",
    "context_unused",
    "vocabulary_too_large",
    "vocabulary_too_small",
    "noise_floor",
    "data_leakage",
    "duplicate_data",
    "distribution_shift",
    "over_regularized",
    "bad_schedule",
    "bad_initialization",
]


def test_cause_registry_matches_files() -> None:
    files = sorted(p.stem for p in FOLDER.glob("*.py") if p.stem != "__init__")
    assert files == sorted(NAMES) == sorted(c.name for c in CAUSES)


@pytest.mark.parametrize("cause", CAUSES, ids=lambda c: c.name)
def test_every_page_has_its_headings_in_order(cause: Cause) -> None:
    lines = [line[:-1] for line in cause.page.splitlines() if line.endswith(":")]
    assert tuple(line for line in lines if line in HEADINGS) == HEADINGS


@pytest.mark.parametrize("name", NAMES)
def test_no_cause_knows_another(name: str) -> None:
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    imported = [
        node.module or ""
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
    ]
    assert not [m for m in imported if "causes" in m or m.startswith("torch")]
    assert not [other for other in NAMES if other != name and f'"{other}"' in source]


CONFIGS = [
    RunConfig(vocab_size=2048, epoch=3, warmup_steps=0, dropout_rate=0.3),
    make_config({"learning_rate": {1: 1e-3, 2: 1e-4}, "vocab_size": 512, "epoch": 4,
                 "warmup_steps": 5, "batch_size": 2, "seq_len": 8, "embed_dim": 8, "num_heads": 1}),
]  # fmt: skip


@pytest.mark.parametrize("cause", CAUSES, ids=lambda c: c.name)
@pytest.mark.parametrize("config", CONFIGS, ids=["usual", "odd"])
def test_every_change_makes_another_valid_configuration(cause: Cause, config: RunConfig) -> None:
    measurements = {"train_tokens": Measurement("train_tokens", 1e6, "tokens"),
                "validation_tokens": Measurement("validation_tokens", 1e5, "tokens")}  # fmt: skip
    changes = cause.treatments(config, measurements)
    labels = [c.label for c in changes]
    assert len(set(labels)) == len(labels)
    for change in changes:
        other = make_config(config.model_dump() | change.keys)
        assert other != config or change.train_fraction != 1 or change.steps != 1


def test_learning_rate_treatments_are_lower_when_nothing_learned() -> None:
    cause = next(c for c in CAUSES if c.name == "learning_rate_too_high")

    def factors(validation_loss: float) -> list[float]:
        losses = {"measured_validation_loss": validation_loss, "unigram_loss": 5.6}
        measurements = {name: Measurement(name, x, "nats per token") for name, x in losses.items()}
        changes = cause.treatments(RunConfig(learning_rate=0.03), measurements)
        return [c.keys["learning_rate"] for c in changes]

    assert factors(4.0) == pytest.approx([0.01, 0.003, 0.001, 0.0003, 0.0001])
    assert factors(5.65) == pytest.approx([0.003, 0.001, 0.0003, 0.0001])


def test_causes_expect_only_measured_metrics() -> None:
    files = [FOLDER.parent / "measure.py", *FOLDER.parent.glob("*_metrics.py")]
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    used = {e.metric for c in CAUSES for e in c.expected_ranges} | set(REFERENCE_RANGES)
    assert {s for s in used if f'"{s}"' not in source} == set()


def test_over_regularized_keeps_what_the_recipe_sets_against_repetition() -> None:
    usual = make_config({"epoch": 6, "bpe_dropout": 0.4, "token_dropout": 0.0})
    assert over_regularized.trial(usual, {}) == ()
    assert over_regularized.CAUSE.exclusion_reason is not None
    assert over_regularized.CAUSE.exclusion_reason(usual, {}) is not None
    much = make_config({"epoch": 6, "bpe_dropout": 0.6, "token_dropout": 0.3, "dropout_rate": 0.2})
    assert over_regularized.trial(much, {})[0].keys == {
        "bpe_dropout": 0.4, "token_dropout": 0.0, "dropout_rate": 0.0,
    }  # fmt: skip
    brief = make_config({"epoch": 1, "bpe_dropout": 0.1})
    assert over_regularized.trial(brief, {})[0].keys == {"bpe_dropout": 0.0}


def test_too_little_data_treatment_reduces_epochs_after_best() -> None:
    too_little = next(c for c in CAUSES if c.name == "too_little_data")
    past = {
        "best_epoch": Measurement("best_epoch", 0.667, ""),
        "validation_loss_increase_after_best": Measurement(
            "validation_loss_increase_after_best", 0.86, ""
        ),
    }
    changes = too_little.treatments(make_config({"epoch": 9}), past)
    fewer = [c for c in changes if c.keys.get("epoch")]
    assert [(c.keys, c.steps) for c in fewer] == [({"epoch": 6}, pytest.approx(6 / 9))]
    assert not [
        c for c in too_little.treatments(make_config({"epoch": 9}), {}) if c.keys.get("epoch")
    ]


def test_extrapolated_effect_of_more_data_grows_with_epochs() -> None:
    shares = [adding_over_halving(p) for p in (1, 2, 3, 8, 30, 200)]
    assert shares[0] == pytest.approx(0, abs=1e-9)
    assert shares == sorted(shares)
    assert shares[1] < 0.35  # 0.30: by hand, w(1) = 1, w(2) = 1.93, w(4) = 3.43
    # Of what is memorized each doubling gains as much as halving costs.
    assert shares[-1] == pytest.approx(math.log2(MAX_MORE), abs=0.06)


def test_data_ablation_requires_a_minimum_run_fraction() -> None:
    """In less than a pass over it no text comes twice, so that half of it does as well."""
    of_three, of_ten = too_little_data.min_run_fraction(3), too_little_data.min_run_fraction(10)
    assert 1 / 3 < of_three < 1
    assert of_ten < of_three
    config = RunConfig(vocab_size=2048, epoch=3)
    flat = too_little_data.trial(config, {})[0]
    assert (flat.is_ablation, flat.min_run_fraction) == (True, of_three)
    # Where the validation loss turned upwards, the run itself has shown it.
    turned = {
        "validation_loss_increase_after_best": Measurement(
            "validation_loss_increase_after_best", 0.3, "nats"
        )
    }
    assert too_little_data.trial(config, turned)[0].min_run_fraction == 0.0


def test_rise_after_best_epoch_bounds_data_effect() -> None:
    def at(rise: float, num_epochs: float) -> float:
        values = {
            "validation_loss_increase_after_best": rise,
            "generalization_gap_nats": 1.0,
            "measured_validation_loss": 4.0,
        }
        measurements = {name: Measurement(name, value, "") for name, value in values.items()}
        half = too_little_data.trial(make_config({"epoch": num_epochs}), measurements)[0]
        assert half.min_inverse_effect_nats == too_little_data.min_inverse_effect_nats(
            num_epochs, measurements
        )
        return half.min_inverse_effect_nats

    assert at(0.1, 16) == 0.0  # under three hundredths of the loss
    assert at(0.2, 16) == pytest.approx(0.05 * 4 + 0.1)
    assert at(0.2, 4) < at(0.2, 16) < at(0.4, 16)


def test_too_little_data_is_excluded_when_the_text_was_read_in_part() -> None:
    """Half of a text of which 7.7 % was read is more than was read."""
    measured = {
        name: Measurement(name, value, "")
        for name, value in (
            ("epochs", 0.077), ("generalization_gap_nats", 0.47), ("train_tokens", 31_134.0),
        )
    }  # fmt: skip
    reason = too_little_data.cannot_be(RunConfig(epoch=1), measured)
    assert reason == "the run read only 7.7% of its text, so no part of it twice"
    whole = measured | {"epochs": Measurement("epochs", 1.0, "")}
    assert too_little_data.cannot_be(RunConfig(epoch=1), whole) is None


def rates_tried(cause: object, rate: object, **values: float) -> list[float]:
    """Highest rates that `cause` tries on a run at `rate` that measured `values`."""
    schedule = {"schedule": "piecewise"} if isinstance(rate, dict) else {}
    config = make_config({"learning_rate": rate, "optimizer": "adamw"} | schedule)
    measured = {name: Measurement(name, value, "") for name, value in values.items()}
    changes = cause.trial(config, measured)  # type: ignore[attr-defined]
    changed = [c.keys["learning_rate"] for c in changes if "learning_rate" in c.keys]
    return [max(r.values()) if isinstance(r, dict) else r for r in changed]


@pytest.mark.parametrize("rate", [0.5, 7.0, {1: 3.0, 2: 9.0}])
def test_rate_far_too_high_is_tried_at_usual_rates(rate: object) -> None:
    tried = rates_tried(learning_rate_too_high, rate)
    assert RunConfig().learning_rate in tried
    assert max(tried) <= 0.01
    assert min(rates_tried(diverged, rate)) <= 0.01


def test_rate_near_the_usual_is_tried_in_steps_unless_the_run_is_in_ruins() -> None:
    """A third of 0.02 may well be the best rate; but not where the weights are ruins already."""
    assert max(rates_tried(learning_rate_too_high, 0.02)) == pytest.approx(0.0067)
    one = {"max_attention_logit": 50_000.0}
    assert 0.001 not in rates_tried(learning_rate_too_high, 0.02, **one)
    assert 0.001 in rates_tried(learning_rate_too_high, 0.02, **one, max_loss_increase=4.0)


@pytest.mark.parametrize("rate", [1e-5, 1e-9])
def test_rate_far_too_low_is_tried_at_usual_rates(rate: float) -> None:
    assert RunConfig().learning_rate in rates_tried(learning_rate_too_low, rate)
    assert rates_tried(learning_rate_too_low, 1e-4)[0] == pytest.approx(3e-4)
