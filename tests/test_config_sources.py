"""Flag over environment over file over preset over default."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from descend.config import make_config
from descend.config_sources import resolve_config, with_changes
from descend.errors import ConfigError


def test_config_sources_follow_precedence(own_folder: Path) -> None:
    file = own_folder / "run.toml"
    file.write_text("batch_size = 5\nseq_len = 20\nnum_layers = 3\n")
    settings = resolve_config(
        {"batch_size": "7"}, file=file, preset="old", environment={"DESCEND_SEQ_LEN": "24"}
    )
    assert settings.config.batch_size == 7
    assert settings.config.seq_len == 24
    assert settings.config.num_layers == 3
    assert settings.config.embed_dim == 128
    expected = {"batch_size": "flag", "seq_len": "environment", "num_layers": f"file {file}",
                "embed_dim": "preset old", "seed": "default"}  # fmt: skip
    assert {key: settings.origins[key] for key in expected} == expected


def test_all_three_formats_say_the_same(own_folder: Path) -> None:
    values = {"embed_dim": 64, "learning_rate": 0.0001, "preset": "guide"}
    (own_folder / "a.toml").write_text('embed_dim = 64\nlearning_rate = 1e-4\npreset = "guide"\n')
    (own_folder / "a.json").write_text(json.dumps(values))
    # YAML reads 1e-4 as text; it must mean the number all the same.
    (own_folder / "a.yaml").write_text("embed_dim: 64\nlearning_rate: 1e-4\npreset: guide\n")
    files = [own_folder / f"a.{end}" for end in ("toml", "json", "yaml")]
    configs = [resolve_config(file=file, environment={}) for file in files]
    assert configs[0].config == configs[1].config == configs[2].config
    assert configs[0].preset == "guide"
    assert configs[0].config.architecture == "gpt"


def test_environment_variable_accepts_key_aliases() -> None:
    settings = resolve_config(environment={"DESCEND_EPOCHS": "7", "DESCENDEPOCH": "3"})
    assert (settings.config.epoch, settings.origins["epoch"]) == (7, "environment")


def test_unknown_environment_variable_is_rejected() -> None:
    environment = {"DESCEND_CACHE_DIR": "x", "DESCEND_DEBUG": "1", "DESCENDING": "1",
                   "DESCEND_API_KEY": "x", "DESCEND_STUDIO_PASSWORD": "x"}  # fmt: skip
    assert set(resolve_config(environment=environment).origins.values()) == {"default"}
    for name, meant in (("EMBED_DMI", "DESCEND_EMBED_DIM"), ("CACHEDIR", "DESCEND_CACHE_DIR"),
                        ("QXZ", "unset it")):  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            resolve_config(environment={f"DESCEND_{name}": "1"})
        assert caught.value.location == f"DESCEND_{name}"
        assert meant in caught.value.fix


@pytest.mark.parametrize("name", ["a.toml", "a.json", "a.yaml"])
def test_config_file_accepts_byte_order_mark(own_folder: Path, name: str) -> None:
    text = {"a.toml": "epochs = 7", "a.json": '{"epochs": 7}', "a.yaml": "epochs: 7"}[name]
    (own_folder / name).write_text(text, encoding="utf-8-sig")
    assert resolve_config(file=own_folder / name, environment={}).config.epoch == 7


def test_per_epoch_learning_rate_overrides_preset_schedule() -> None:
    rates = {"learning_rate": "1:1e-4,2:1e-3"}
    config = resolve_config(rates, preset="guide", environment={}).config
    assert config.schedule == "piecewise"


PER_EPOCH = "learning_rate = {1 = 1e-3, 2 = 1e-4}\n"


@pytest.mark.parametrize("named", ["", 'schedule = "piecewise"\n'])
def test_constant_learning_rate_removes_per_epoch_schedule(own_folder: Path, named: str) -> None:
    file = own_folder / "run.toml"
    file.write_text('preset = "guide"\n' + PER_EPOCH + named)
    alone = resolve_config(file=file, environment={})
    assert (alone.config.schedule, alone.origins["schedule"]) == ("piecewise", f"file {file}")
    over = resolve_config({"learning_rate": "0.002"}, file=file, environment={})
    assert (over.config.learning_rate, over.config.schedule) == (0.002, "constant")
    assert over.origins["schedule"] == "preset guide"


def test_config_change_resolves_learning_rate_schedule() -> None:
    by_epoch = make_config({"learning_rate": {1: 1e-4, 2: 1e-3}})
    assert by_epoch.schedule == "piecewise"
    assert with_changes(by_epoch, {"learning_rate": 0.002}) == make_config({"learning_rate": 0.002})
    wider = with_changes(by_epoch, {"embed_dim": 64})
    assert wider == make_config({"learning_rate": {1: 1e-4, 2: 1e-3}, "embed_dim": 64})
    assert with_changes(make_config({}), {"learning_rate": {1: 1e-4}}).schedule == "piecewise"


def test_schedule_conflicting_with_per_epoch_rate_is_rejected() -> None:
    rates = {"DESCEND_LEARNING_RATE": "1:1e-3,2:1e-4"}
    with pytest.raises(ConfigError, match=r"schedule: expected .*, but found cosine"):
        resolve_config({"schedule": "cosine"}, environment=rates)


def test_explicit_settings_override_settings_of_run(own_folder: Path) -> None:
    run = (own_folder, {"batch_size": 3, "seq_len": 20, "schedule": "piecewise",
                        "learning_rate": {"1": 0.1}})  # fmt: skip
    settings = resolve_config(
        {"learning_rate": 0.002}, run=run, preset="old", environment={"DESCEND_SEQ_LEN": "24"}
    )
    config = settings.config
    assert (config.batch_size, config.seq_len) == (4, 24)
    assert (config.learning_rate, config.schedule) == (0.002, "constant")
    assert resolve_config(run=run, environment={}).config.schedule == "piecewise"


@pytest.mark.parametrize(
    ("inherited", "flags", "expected"),
    [
        ({"max_steps": 300}, {"epoch": 2}, (2, None)),
        ({"max_steps": 300}, {"epochs": 2}, (2, None)),
        ({"epoch": 1, "max_steps": 300}, {"epoch": 2}, (2, None)),
        ({"epoch": 5}, {"max_steps": 40}, (None, 40)),
        ({"max_steps": 300}, {"epoch": 2, "max_steps": 40}, (2, 40)),
        ({"max_steps": 300}, {"epoch": None, "seed": 2}, (None, 300)),
        ({"epoch": 5, "max_steps": 300}, {}, (5, 300)),
    ],
)
@pytest.mark.parametrize("source", ["run", "environment", "file"])
def test_resolve_config_drops_weaker_length_when_other_length_is_set(
    own_folder: Path, inherited: dict[str, int], flags: dict[str, int | None],
    expected: tuple[int | None, int | None], source: str,
) -> None:  # fmt: skip
    environment, file, run = {}, None, None
    if source == "run":
        run = (own_folder, inherited)
    elif source == "environment":
        environment = {f"DESCEND_{key.upper()}": str(value) for key, value in inherited.items()}
    else:
        file = own_folder / "keys.json"
        file.write_text(json.dumps(inherited))
    settings = resolve_config(flags, run=run, environment=environment, file=file)
    assert (settings.config.epoch, settings.config.max_steps) == expected
    for key, value in zip(("epoch", "max_steps"), expected, strict=True):
        assert (settings.origins[key] == "default") is (value is None and flags.get(key, 1) == 1)


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("missing.toml", None, "no such file"),
        ("bad.toml", "embed_dim = = 3", "syntax error"),
        ("bad.json", "{", "syntax error"),
        ("bad.yaml", "a: [1", "syntax error"),
        ("list.json", "[1]", "a list at the top"),
        ("key.toml", "embed_dmi = 3", "Did you mean embed_dim"),
        ("twice.toml", "batch-size = 4\nbatch_size = 5", "the key batch_size stands twice"),
        ("twice.json", '{"epoch": 1, "epochs": 2}', "the key epoch stands twice"),
        ("twice.yaml", "seed: 1\nseed: 2", "the key seed stands twice"),
        ("alias.yaml", "seed: &a 1\nepoch: *a", "an alias *a: write the value out"),
        ("deep.yaml", "seed: " + 8 * "[" + 8 * "]", "nested deeper than 8 levels"),
        ("abyss.yaml", 20_000 * "[", "nested deeper than 8 levels"),
    ],
)
def test_a_bad_file_is_named(own_folder: Path, name: str, content: str | None, part: str) -> None:
    file = own_folder / name
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        resolve_config(file=file, environment={})
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(ConfigError, match="Did you mean guide"):
        resolve_config(preset="guid", environment={})
