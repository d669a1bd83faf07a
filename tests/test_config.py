"""Configuration: defaults, presets, and one clear sentence for what does not fit."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from descend.cli.help_format import PANELS
from descend.config import RunConfig, make_config
from descend.errors import ConfigError
from descend.presets import PRESETS


def test_config_defaults_match_documented_sizes() -> None:
    config = RunConfig()
    sizes = ("embed_dim", "num_layers", "ff_dim", "max_seq_len", "batch_size")
    assert [getattr(config, key) for key in sizes] == [256, 4, 1024, 256, 16]
    assert config.num_heads == 4  # faster and no worse: docs/recipe.md
    assert (config.seq_len, config.learning_rate, config.corpus_dir) == (128, 0.001, None)
    assert (config.epoch, config.vocab_size) == (None, None)  # left open for the recipe


def test_presets_differ_as_the_guide_says() -> None:
    old, guide = make_config(PRESETS["old"]), make_config(PRESETS["guide"])
    assert (old.embed_dim, old.num_heads, old.num_layers, old.ff_dim) == (128, 4, 2, 512)
    assert (old.batch_size, old.seq_len, old.learning_rate, old.epoch) == (4, 32, 0.0003, 3)
    assert (guide.architecture, guide.optimizer, guide.schedule) == ("gpt", "adamw", "constant")
    assert (guide.dropout_rate, guide.precision, guide.epoch) == (0.1, "float32", 10)
    assert make_config(PRESETS["fast"]) == RunConfig()


def test_config_accepts_larger_guide_values() -> None:
    config = make_config(
        {"embed_dim": 512, "num_heads": 16, "num_layers": 6, "ff_dim": 2048, "max_seq_len": 512,
         "batch_size": 32, "seq_len": 256, "epoch": 20}
    )  # fmt: skip
    assert config.embed_dim // config.num_heads == 32


def test_epochs_is_another_name_for_epoch() -> None:
    assert make_config({"epochs": 7}).epoch == 7


def test_a_rate_per_epoch_makes_the_schedule_piecewise() -> None:
    rates = {1: 1e-4, 2: 1e-3, 4: 5e-4, 8: 1e-4}
    for form in (rates, {str(k): v for k, v in rates.items()}, "1:1e-4,2:1e-3,4:5e-4,8:1e-4"):
        config = make_config({"learning_rate": form})
        assert config.schedule == "piecewise"
        assert config.learning_rate == rates
    assert make_config({"learning_rate": "0.01"}).learning_rate == 0.01


@pytest.mark.parametrize(
    ("values", "where", "parts"),
    [
        ({"embed_dmi": 64}, "embed_dmi", ["unknown key", "Did you mean embed_dim"]),
        ({"batchsize": 64}, "batchsize", ["Did you mean batch_size"]),
        ({"xyzzy": 1}, "xyzzy", ["unknown key", "descend config show"]),
        ({"embed_dim": "wide"}, "embed_dim", ["'wide'", "whole number"]),
        ({"embed_dim": 4}, "embed_dim", ["4", "8 or more"]),
        ({"learning_rate": -1}, "learning_rate", ["-1"]),
        ({"learning_rate": float("nan")}, "learning_rate", ["nan"]),
        ({"dropout_rate": 1.0}, "dropout_rate", ["less than 1"]),
        ({"architecture": "rnn"}, "architecture", ["'rnn'", "'gpt', 'modern' or 'llama'"]),
        ({"num_heads": 7}, "num_heads", ["7", "divisor of embed_dim 256", "Set num_heads to 8"]),
        ({"seq_len": 512}, "seq_len", ["512", "at most max_seq_len 256"]),
        ({"schedule": "piecewise"}, "schedule", ["piecewise", "a rate per epoch"]),
        ({"learning_rate": {1: 0.1}, "schedule": "cosine"}, "schedule", ["cosine"]),
        (
            {"gradient_accumulation_steps": 17},
            "gradient_accumulation_steps",
            ["17", "batch_size 16"],
        ),
        ({"embed_dim": 24, "num_heads": 8}, "num_heads", ["even size"]),
        ({"device": "gpu"}, "device", ["'gpu'"]),
        ({"attention": "flash"}, "attention", ["'flash'", "'auto', 'matmul' or 'fused'"]),
        ({"compile": "yes"}, "compile", ["'yes'", "'auto', 'on' or 'off'"]),
        ({"threads": 0}, "threads", ["0", "1 or more"]),
        ({"threads": 10**6}, "threads", ["1000000", "1024 or less"]),
        (
            {"compile": True, "activation_checkpointing": True},
            "compile",
            ["on together with activation_checkpointing", "one of the two", "Set compile to auto"],
        ),
    ],
)
def test_config_error_states_location_value_expectation_and_fix(
    values: dict[str, object], where: str, parts: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(values)
    error = caught.value
    assert error.location == where
    assert all((error.actual, error.expected, error.fix))
    assert "\n" not in str(error)
    for part in parts:
        assert part in str(error)
    assert error.exit_code == 2


# Where other programs take the cores, drawing the values is slow; that is no fault of the test.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "embed_dim": st.sampled_from([64, 128, 512]),
            "num_heads": st.sampled_from([1, 2, 4]),
            "epoch": st.integers(1, 50),
            "learning_rate": st.floats(1e-6, 1.0),
            "seed": st.integers(0, 2**40),
            "schedule": st.sampled_from(["constant", "linear", "cosine", "wsd"]),
        },
    )
)
def test_a_configuration_survives_being_written_and_read(values: dict[str, object]) -> None:
    config = make_config(values)
    assert make_config(config.model_dump(mode="json")) == config


def test_every_key_has_a_sentence_and_a_group() -> None:
    for name, field in RunConfig.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        assert isinstance(field.json_schema_extra, dict)
        assert field.json_schema_extra["group"] in PANELS[1:]


@pytest.mark.parametrize("value", ["a\0b", "a\udcffb", "\ud800"])
@pytest.mark.parametrize("key", ["corpus_dir", "save_dir", "vocab_path"])
def test_path_is_refused_when_no_record_could_hold_it(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{key}: expected text in UTF-8 without NUL") as caught:
        make_config({key: value})
    assert str(caught.value).isprintable()
