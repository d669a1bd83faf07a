"""Comparisons: equal budgets, pairs by seed, claims only where they are due."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy import stats

import descend as library
from descend import compare as library_compare
from descend.artifacts import ATTRIBUTION_FILE, COMPARISON_FILE, SEARCH_FILE
from descend.cli.main import run as descend
from descend.config import make_config
from descend.errors import ConfigError, RunFolderError
from descend.experiments.compare.arms import ComparisonArm, make_arms, parse_vary_flags
from descend.experiments.compare.comparison_result import Comparison
from descend.experiments.compare.comparison_trials import (
    _verdict,
    nats_per_unit,
    plan_comparison,
    run_comparison_trials,
)
from descend.experiments.experiment_folder import (
    create_experiment_folder,
    read_record,
    write_record,
)
from descend.experiments.named_config import NamedConfig, load_named_config
from descend.report.text.experiment_summary import summarize_comparison
from descend.report.text.experiment_tables import comparison_text
from descend.training.assembly import assemble_run
from descend.trials.cost_estimate import measure_step_time
from descend.trials.executor import run_trials
from descend.trials.paired_stats import Interval
from descend.trials.prepared_trial import prepare_trial
from descend.trials.trial_spec import make_trial_spec


def base(tiny: dict[str, object], **keys: Any) -> list[NamedConfig]:
    return [NamedConfig("base", make_config(tiny | {"epoch": 1} | keys))]


def test_a_comparison_is_its_pairs(tiny: dict[str, object]) -> None:
    arms = make_arms(base(tiny), parse_vary_flags(["learning_rate=0.0001,0.003"]))
    result = run_comparison_trials(plan_comparison(arms, seeds=2, budget=2000), workers=1)
    assert [arm.name for arm in result.arms] == ["learning_rate=0.0001", "learning_rate=0.003"]
    first, second = result.arms
    assert [s.seed for s in first.seeds] == [s.seed for s in second.seeds] == [42, 43]
    pairs = [b.validation_loss - a.validation_loss
             for a, b in zip(first.seeds, second.seeds, strict=True)]  # fmt: skip
    oracle = stats.ttest_1samp(pairs, 0)
    assert second.difference is not None
    assert second.difference.value == pytest.approx(np.mean(pairs))
    assert second.difference.ci95 == pytest.approx(tuple(oracle.confidence_interval(0.95)))
    assert second.p == pytest.approx(oracle.pvalue)
    assert first.difference is None
    assert first.verdict == "first"
    assert second.validation_loss < first.validation_loss - 0.1
    # 2000 tokens in steps of 4 x 16.
    assert first.steps == second.steps == round(2000 / 64)
    assert result.unit == "nats per token"
    assert "learning_rate=0.003 (+" in summarize_comparison(result)
    text = comparison_text(result)
    dots = [line for line in text.splitlines() if "●" in line]
    assert [line.split()[0] for line in dots] == [first.name, second.name]
    # Lower losses stand further left.
    assert dots[1].index("●") < dots[0].index("●")
    assert f"{second.validation_loss:.3f}" in text
    assert msgspec.json.decode(msgspec.json.encode(result), type=Comparison) == result


def test_budget_unit_determines_steps_per_trial(tiny: dict[str, object]) -> None:
    arms = make_arms(base(tiny), parse_vary_flags(["batch_size=4,16"]))
    tokens = plan_comparison(arms, budget_unit="tokens", budget=6400, seeds=1)
    assert [a.steps for a in tokens.all_specs] == [100, 25]
    steps = plan_comparison(arms, budget_unit="steps", budget=50, seeds=1)
    assert [a.steps for a in steps.all_specs] == [50, 50]
    seconds = plan_comparison(arms, budget_unit="seconds", budget=1.0, seeds=1)
    for one in seconds.all_specs:
        # How fast a network is here is remembered, so the same number comes back.
        speed, size = measure_step_time(one), one.config["batch_size"] * 16
        assert one.steps == round(1.0 / (size * speed.per_token + speed.per_update))
    own = plan_comparison(arms, budget_unit="epoch", seeds=1)
    assert [a.steps for a in own.all_specs] == [None, None]
    # Left open, the budget is what the first one needs for its epoch.
    by_first = plan_comparison(arms, budget_unit="tokens", seeds=1)
    assert by_first.budget == (by_first.all_specs[0].steps or 0) * 64
    assert (by_first.all_specs[1].steps or 0) == pytest.approx(by_first.budget / 256, abs=0.5)


def test_where_vocabularies_differ_bytes_are_compared(tiny: dict[str, object]) -> None:
    arms = make_arms(base(tiny), parse_vary_flags(["vocab_size=280,320"]))
    result = run_comparison_trials(plan_comparison(arms, seeds=2, budget=640), workers=1)
    first, second = result.arms
    assert result.unit == "bits per byte"
    assert first.vocab_size != second.vocab_size
    assert second.difference is not None
    assert second.difference.value == pytest.approx(second.bits_per_byte - first.bits_per_byte)
    assert "bits per byte" in comparison_text(result)


def test_bits_per_byte_effect_is_converted_to_nats(tiny: dict[str, object]) -> None:
    """A bit a byte of long tokens is more nats than one of letters."""
    for size, tokenizer in ((320, "bpe"), (300, "char")):
        arm = make_trial_spec(
            make_config(tiny | {"vocab_size": size, "tokenizer": tokenizer}), steps=1
        )
        result, store = run_trials([arm], workers=1)[0], prepare_trial(arm).store
        bytes_per_token = float(store.tokenizer.byte_lengths[store.validation[1:]].mean())
        unit_nats = nats_per_unit([result], in_bits=True)
        assert unit_nats == pytest.approx(np.log(2) * bytes_per_token, rel=0.02)
        assert nats_per_unit([result], in_bits=False) == 1.0
        # A certain difference of 0.012 bits of 1 a byte: 0.026 nats of a token, 0.008 of a letter.
        verdict = _verdict(
            Interval(*(-x * unit_nats for x in (0.012, 0.013, 0.011))), 0.001, of=unit_nats
        )
        assert verdict == ("better" if tokenizer == "bpe" else "not significant")


def test_comparison_accepts_grid_or_named_configs(
    tiny: dict[str, object], tiny_file: Path, trained: Path
) -> None:
    grid = make_arms(base(tiny), parse_vary_flags(["embed_dim=16,32", "batch_size=4,8"]))
    assert [c.name for c in grid] == [
        "embed_dim=16 batch_size=4", "embed_dim=16 batch_size=8",
        "embed_dim=32 batch_size=4", "embed_dim=32 batch_size=8",
    ]  # fmt: skip
    corpus = {"corpus_dir": str(tiny["corpus_dir"])}
    named = [
        load_named_config(str(tiny_file), corpus | {"seq_len": "8"}),
        load_named_config(str(trained)),
    ]
    arms = make_arms(named, {})
    assert [c.name for c in arms] == [tiny_file.stem, trained.name]
    assert [c.config.seq_len for c in arms] == [8, 16]
    assert arms[1].config.epoch == 2


def test_constant_learning_rate_replaces_per_epoch_schedule(tiny: dict[str, Any]) -> None:
    """Of the base, with the schedule that followed from it; where it is not varied it stays."""
    (one,) = base(tiny | {"learning_rate": {"1": 0.003, "2": 0.001}})
    assert one.config.schedule == "piecewise"
    arms = make_arms([one], parse_vary_flags(["learning_rate=0.0001,0.003"]))
    assert [a.config.learning_rate for a in arms] == [0.0001, 0.003]
    assert {a.config.schedule for a in arms} == {make_config({}).schedule}
    comparison_arms = make_arms([one], parse_vary_flags(["batch_size=4,8"]))
    assert {a.config.schedule for a in comparison_arms} == {"piecewise"}


def test_claims_need_certainty_and_size() -> None:
    assert _verdict(Interval(-0.1, -0.12, -0.08), 0.01, of=3.0) == "better"
    assert _verdict(Interval(0.1, 0.08, 0.12), 0.01, of=3.0) == "worse"
    assert _verdict(Interval(-0.1, -0.12, -0.08), 0.06, of=3.0) == "not significant"
    assert _verdict(Interval(-0.005, -0.006, -0.004), 0.001, of=3.0) == "not significant"


def test_one_seed_claims_nothing(tiny: dict[str, object]) -> None:
    arms = make_arms(base(tiny), parse_vary_flags(["learning_rate=0.0001,0.003"]))
    result = run_comparison_trials(plan_comparison(arms, seeds=1, budget=2000), workers=1)
    assert result.arms[1].difference is not None
    assert result.arms[1].difference.ci95 is None
    assert result.arms[1].verdict == "not significant"
    assert "no significance test possible" in summarize_comparison(result)


@pytest.mark.parametrize(
    ("vary", "words"),
    [("embed_dim", "such as embed_dim=128,256"), ("embed_dim=", "such as embed_dim=128,256"),
     ("embed_dmi=8,16", "Did you mean embed_dim"), ("seed=1,2", "Use --num-seeds"),
     ("corpus_dir=a,b", "Vary another key"), ("embed_dim=16,banana", "'banana'"),
     ("embed_dim=16,17", "a divisor of embed_dim 17"), ("embed_dim=16,16", "at least two"),
     ("epoch=1,2", "--budget-unit epoch"), ("seq_len=16,64", "at most max_seq_len 32")],
)  # fmt: skip
def test_mistakes_get_one_clear_line(tiny: dict[str, object], vary: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        plan_comparison(make_arms(base(tiny), parse_vary_flags([vary])), budget=1000)


def test_more_mistakes(tiny: dict[str, object], tmp_path: Path) -> None:
    arms = make_arms(base(tiny), parse_vary_flags(["batch_size=4,8"]))
    with pytest.raises(ConfigError, match="less than a step of batch_size=4"):
        plan_comparison(arms, budget=1)
    for budget in (float("nan"), float("inf"), 0, -5):
        for match in ("tokens", "steps", "seconds", "epoch"):
            with pytest.raises(ConfigError, match=r"budget: expected a finite number.* but"):
                plan_comparison(arms, budget_unit=match, budget=budget)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"budget: .* found 640 beside --budget-unit epoch"):
        plan_comparison(arms, budget_unit="epoch", budget=640)
    with pytest.raises(ConfigError, match=r"budget_unit: expected .*, but found hours"):
        plan_comparison(arms, budget_unit="hours")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Did you mean guide"):
        load_named_config("guied")
    with pytest.raises(RunFolderError, match="found no run"):
        load_named_config(str(tmp_path))
    other = NamedConfig("other", make_config(tiny | {"validation_fraction": 0.2}))
    with pytest.raises(ConfigError, match="validation_fraction"):
        make_arms([*base(tiny), other], {})


def test_compare_command_prints_cost_and_json(
    tiny: dict[str, object], tiny_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["compare", str(tiny["corpus_dir"]), "--config", str(tiny_file), "--json",
            "--vary", "dropout_rate=0,0.2", "--num-seeds", "2", "--budget", "640", "--workers", "1",
            "--num-evaluations", "2", "--save-dir", "here"]  # fmt: skip
    assert descend(line) == 0
    out, err = capsys.readouterr()
    comparison = json.loads(out)
    assert {
        "config",
        "validation_loss",
        "accuracy",
        "bits_per_byte",
        "seconds",
        "loss_reduction",
    } <= set(comparison["arms"][1])
    first, second = comparison["arms"]
    assert 0 < first["bigram_accuracy"] < 1
    assert first["loss_reduction"] is None
    assert set(second["loss_reduction"]) == {"value", "ci95"}
    assert second["loss_reduction"]["value"] == pytest.approx(
        first["validation_loss"] - second["validation_loss"]
    )
    assert "difference" not in second
    assert len(comparison["arms"][0]["seeds"][0]["curve"]) == 2
    assert "4 runs: about" in err
    assert "4 of 4 runs" in err
    assert read_record(Path("here"), COMPARISON_FILE, Comparison).sentence == comparison["sentence"]
    # What repeats it: as typed, but for what would be in its way.
    assert "--json" in line
    assert shlex.split(comparison["command"])[1:] == [w for w in line[:-2] if w != "--json"]
    # The same again costs nothing, and nothing is written over.
    assert descend([*line[:-1], "there"]) == 0
    assert "4 already finished: about 0.0 s" in capsys.readouterr().err
    assert descend(line) == 2
    assert "which holds comparison.json" in capsys.readouterr().err


def test_experiments_have_folders_of_their_own(tmp_path: Path) -> None:
    class Note(msgspec.Struct):
        text: str

    first = create_experiment_folder()
    write_record(first, COMPARISON_FILE, Note("kept"))
    assert create_experiment_folder() != first
    assert read_record(first, COMPARISON_FILE, Note) == Note("kept")
    (first / COMPARISON_FILE).write_text("{")
    with pytest.raises(RunFolderError, match="cannot be read"):
        read_record(first, COMPARISON_FILE, Note)


@pytest.mark.parametrize("name", [COMPARISON_FILE, ATTRIBUTION_FILE, SEARCH_FILE])
def test_no_experiment_is_written_over_another(tmp_path: Path, name: str) -> None:
    assert create_experiment_folder(tmp_path) == tmp_path
    (tmp_path / name).touch()
    with pytest.raises(RunFolderError, match=f"which holds {name}"):
        create_experiment_folder(tmp_path)


def test_arms_are_named_configs(tiny: dict[str, object]) -> None:
    one = make_arms(base(tiny), parse_vary_flags(["weight-decay=0,0.1"]))[0]
    assert one == ComparisonArm("weight_decay=0", one.config, ("weight_decay",))


def test_two_arms_of_the_same_settings_are_refused(tiny: dict[str, object]) -> None:
    """A continued run is trained from the start, and would be the same arm as its parent."""
    first, second = (NamedConfig(name, make_config(tiny)) for name in ("run", "continued"))
    other = NamedConfig("other", make_config(tiny | {"learning_rate": 0.01}))
    with pytest.raises(ConfigError, match="the same settings in run and continued"):
        make_arms([first, second, other], {})
    assert [arm.name for arm in make_arms([first, other], {})] == ["run", "other"]


def test_the_library_does_the_same_as_the_verb(tiny: dict[str, object]) -> None:
    keys = tiny | {"epoch": 1}
    comparison = library_compare(
        keys, vary={"dropout_rate": [0.0, 0.2]}, seeds=2, budget=640, workers=1
    )
    by_hand = make_arms(base(tiny), parse_vary_flags(["dropout_rate=0.0,0.2"]))
    same = run_comparison_trials(plan_comparison(by_hand, seeds=2, budget=640), workers=1)
    assert msgspec.structs.replace(comparison, command="", sentence="") == same
    assert comparison.sentence == summarize_comparison(same)
    assert eval(comparison.command, {"descend": library}) == comparison
    with pytest.raises(ConfigError, match="Did you mean embed_dim"):
        library_compare(keys, vary={"embed_dmi": [8, 16]})


def test_arms_have_the_batch_and_context_that_train_chooses(varied_text: Path) -> None:
    small = {"corpus_dir": str(varied_text), "embed_dim": 16, "ff_dim": 32, "num_layers": 1}
    open_config = make_config(small)
    open_base = NamedConfig("base", open_config)
    trained = assemble_run(open_config).config
    arms = make_arms([open_base], parse_vary_flags(["learning_rate=0.001,0.003"]))
    assert {(arm.config.batch_size, arm.config.seq_len) for arm in arms} == {
        (trained.batch_size, trained.seq_len)
    }
    assert trained.batch_size < make_config({}).batch_size
    requested = make_arms([open_base], parse_vary_flags(["batch_size=2,32"]))
    assert [arm.config.batch_size for arm in requested] == [2, 32]
    tokens_per_step = trained.batch_size * trained.seq_len
    comparison = library_compare(
        small, vary={"learning_rate": [0.001, 0.003]}, seeds=2, budget=3 * tokens_per_step,
        workers=1,
    )  # fmt: skip
    assert [arm.steps for arm in comparison.arms] == [3, 3]
