"""What pages say of a run, beyond single numbers: what they suggest, leave out and refuse."""

from __future__ import annotations

import re
import shutil
import statistics
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from descend import run as train
from descend.config import RunConfig, make_config
from descend.config_sources import normalize_key
from descend.diagnosis.diagnosis_result import (
    Cost,
    Diagnosis,
    Finding,
    OtherCause,
    PairedTrial,
)
from descend.errors import RunFolderError
from descend.handbook.checklist import answer_checklist
from descend.handbook.page import load_markdown_pages
from descend.handbook.run_notes import describe_run
from descend.handbook.run_notes.diagnosis_notes import describe_trial, reduction_by_change
from descend.handbook.run_notes.loss_notes import MAX_LISTED_EPOCHS
from descend.handbook.run_notes.optimization_notes import MAX_LISTED_MATRICES
from descend.handbook.run_notes.topics import TOPICS
from descend.handbook.run_notes.wording import alternative_learning_rates, suggest_flags
from descend.report.text.run_overview import overview_lines
from descend.runs.epochs_read import count_epochs_read, count_tokens_read, format_epochs_read
from descend.runs.events import Step, WeightUpdateStats
from descend.runs.recorded_run import open_run_with_epoch
from descend.runs.run_files import write_diagnosis
from descend.runs.run_list import describe_run as describe_listed_run
from descend.units import format_significant


def test_fixture_runs_differ_in_overfitting(trained: Path, astray: Path) -> None:
    assert open_run_with_epoch(astray).best_epoch.epoch == 1
    assert open_run_with_epoch(trained).best_epoch.epoch > 1
    assert "higher by epoch 3" in (describe_run("overfitting", open_run_with_epoch(astray)) or "")
    assert "`--epoch 1`" in (describe_run("epoch", open_run_with_epoch(astray)) or "")
    assert "clipping was off" in (describe_run("gradient_clip", open_run_with_epoch(astray)) or "")


@pytest.mark.parametrize("which", ["trained", "astray"])
def test_run_section_ends_with_a_valid_suggestion(
    which: str, request: pytest.FixtureRequest
) -> None:
    run = open_run_with_epoch(request.getfixturevalue(which))
    for name in TOPICS:
        text = describe_run(name, run)
        assert text is not None
        last = text.split("\n\n")[-1]
        assert "try `" in last, name
        flags = re.findall(r"`(--[^`]+)`", last)
        assert flags or "`descend " in last, name
        for flag in flags:
            changes = dict(zip(flag.split()[::2], flag.split()[1::2], strict=True))
            values = {normalize_key(key.removeprefix("--")): v for key, v in changes.items()}
            assert make_config(run.config.model_dump() | values) != run.config


@pytest.mark.parametrize(
    ("treated", "said"), [(4.3, "costs 0.300"), (3.7, "ends 0.300 nats better")]
)
def test_effect_has_the_direction_of_the_change_when_it_is_an_ablation(
    treated: float, said: str
) -> None:
    cost = treated - 4.0
    half = PairedTrial(
        metric="", change="half the text", control_loss=4.0, treatment_loss=treated,
        loss_reduction=cost, ci95=(cost - 0.1, cost + 0.2), p_holm=1.0, seeds=1, tokens=1,
        run_fraction=0.5, seconds=1.0, cost_factor=1.0,
    )  # fmt: skip
    reduction, interval = reduction_by_change(half)
    assert reduction == pytest.approx(4.0 - treated)
    assert interval == pytest.approx((reduction - 0.2, reduction + 0.1))
    assert said in describe_trial(half)
    opposite = structs.replace(half, change="half the rate", loss_reduction=-cost)
    assert reduction_by_change(opposite)[0] == pytest.approx(4.0 - treated)


@pytest.mark.parametrize("recommended", [{"learning_rate": 0.001}, {}])
def test_suggestions_follow_the_diagnosis_when_the_run_folder_has_one(
    trained: Path, tmp_path: Path, recommended: dict[str, float]
) -> None:
    folder = tmp_path / "diagnosed"
    shutil.copytree(trained, folder)
    peak = max(s.learning_rate for s in open_run_with_epoch(folder).steps)
    worse = PairedTrial(
        metric="", change="3 times the learning rate", control_loss=4.0, treatment_loss=4.3,
        loss_reduction=-0.3, ci95=(-0.4, -0.2), p_holm=1.0, seeds=1, tokens=1, run_fraction=0.5,
        seconds=1.0, cost_factor=1.0,
    )  # fmt: skip
    better = structs.replace(worse, treatment_loss=3.7, loss_reduction=0.3, ci95=(0.2, 0.4))
    finding = Finding(
        cause="learning_rate_too_high", probability=0.8, evidence=[], trial=better,
        recommended_config=recommended, advice="lower the learning rate",
    )  # fmt: skip
    diagnosis = Diagnosis(
        run=str(folder), verdict="learning_rate_too_high", probability=0.8, causes=[finding],
        ruled_out=[OtherCause(cause="learning_rate_too_low", reason="worse", trial=worse)],
        measurements=[], warnings=[], cost=Cost(1.0, 0.1),
    )  # fmt: skip
    write_diagnosis(folder, msgspec.json.encode(diagnosis))
    text = describe_run("learning_rate", open_run_with_epoch(folder)) or ""
    assert f"--learning-rate {format_significant(3 * peak)}" not in text
    expected = recommended.get("learning_rate", peak / 3)
    assert f"try `--learning-rate {format_significant(expected)}`" in text
    assert ("recommends" in text) == bool(recommended)


def test_pages_on_the_loss_recommend_what_the_diagnosis_does(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    trial = PairedTrial(
        metric="", change="twice the steps", control_loss=4.0, treatment_loss=3.7,
        loss_reduction=0.3, ci95=(0.2, 0.4), p_holm=0.0, seeds=2, tokens=1, run_fraction=0.5,
        seconds=1.0, cost_factor=2.0,
    )  # fmt: skip
    finding = Finding(
        cause="undertrained", probability=0.8, evidence=[], trial=trial,
        recommended_config={"epoch": 7}, advice="train longer",
    )  # fmt: skip
    diagnosis = Diagnosis(
        run=str(folder), verdict="undertrained", probability=0.8, causes=[finding], ruled_out=[],
        measurements=[], warnings=[], cost=Cost(1.0, 0.1),
    )  # fmt: skip
    write_diagnosis(folder, msgspec.json.encode(diagnosis))
    run = open_run_with_epoch(folder)
    for page in ("loss", "perplexity", "accuracy", "entropy", "ngram_baselines"):
        text = describe_run(page, run) or ""
        assert "try `--epoch 7` as the diagnosis of this run recommends" in text
        assert "--learning-rate" not in text
        assert ",." not in text


def test_setting_section_states_value_and_origin(trained: Path) -> None:
    run = open_run_with_epoch(trained)
    for key in RunConfig.model_fields:
        text = describe_run(key, run) or ""
        assert text.startswith((f"Your run used `{key}` ", f"Your run did not set `{key}`."))
    assert "used `embed_dim` 16." in (describe_run("embed_dim", run) or "")
    steps = run.config.warmup_steps
    assert f"used `warmup_steps` {steps}, chosen by descend." in (
        describe_run("warmup_steps", run) or ""
    )


def test_learning_rate_section_lists_values_per_epoch(astray: Path) -> None:
    text = describe_run("learning_rate", open_run_with_epoch(astray)) or ""
    assert text.startswith("Your run used `learning_rate` 0.01 from epoch 1, 0.5 from epoch 2.")
    assert "`--schedule wsd --learning-rate 0.01`" in text


def test_loss_section_suggests_diagnosis_when_run_learned_almost_nothing(trained: Path) -> None:
    run = open_run_with_epoch(trained)
    high = run.ngram_baselines["unigram"] + 0.1
    poor = run.with_parts(summary=structs.replace(run.summary, validation_loss=high))
    assert f"try `descend diagnose {trained}`" in (describe_run("loss", poor) or "")
    good = run.with_parts(summary=structs.replace(run.summary, validation_loss=0.5))
    assert "To bring it down, try `--learning-rate" in (describe_run("loss", good) or "")


def test_generation_pages_have_no_run_section(trained: Path) -> None:
    silent = {
        name
        for name in load_markdown_pages()
        if describe_run(name, open_run_with_epoch(trained)) is None
    }
    about_writing = {n for n, page in load_markdown_pages().items() if page.group == "Generation"}
    assert silent == about_writing


def test_zero_initialized_matrix_skips_first_update_ratio(trained: Path) -> None:
    run = open_run_with_epoch(trained)
    first, second = run.weight_updates[:2]
    zero = [name for name, rms in first.weight_rms.items() if rms == 0]
    # An update of a matrix of zeros is endlessly large beside it; no median may show that.
    assert max(first.update_to_weight_ratio[name] for name in zero) > 1e4
    whole = run.with_parts(weight_updates=[first, second], config=warmed_up(run.config, 999))
    for name, ratio in whole.update_ratios.items():
        both = (first.update_to_weight_ratio[name] + second.update_to_weight_ratio[name]) / 2
        assert ratio == pytest.approx(second.update_to_weight_ratio[name] if name in zero else both)


def test_ratios_of_the_warmup_do_not_count(trained: Path) -> None:
    run = open_run_with_epoch(trained)
    steps = [m.step for m in run.weight_updates]
    assert steps[:3] == [1, 26, 51]
    late = run.with_parts(config=warmed_up(run.config, 26))
    for name, ratio in late.update_ratios.items():
        ratios = [m.update_to_weight_ratio[name] for m in run.weight_updates[2:]]
        assert ratio == pytest.approx(statistics.median(ratios))


def warmed_up(config: RunConfig, steps: int) -> RunConfig:
    return config.model_copy(update={"warmup_steps": steps})


def test_matrix_list_is_abbreviated_to_the_extremes(trained: Path) -> None:
    run = open_run_with_epoch(trained)
    ratios = {f"blocks.{n}.ff.up.weight": (n + 1) / 1000 for n in range(100)}
    many = WeightUpdateStats(1000, dict.fromkeys(ratios, 1.0), dict.fromkeys(ratios, 1.0), ratios)
    text = describe_run("update_to_weight_ratio", run.with_parts(weight_updates=[many])) or ""
    assert text.count("\n- ") + text.startswith("- ") == MAX_LISTED_MATRICES
    assert "(76 in between are left out)" in text
    assert "`blocks.0.ff.up.weight`: 0.001\n" in text
    assert "`blocks.99.ff.up.weight`: 0.1\n" in text
    assert "`blocks.50.ff.up.weight`" not in text


def test_epoch_list_keeps_first_best_and_last(trained: Path) -> None:
    run = open_run_with_epoch(trained)
    losses = [abs(n - 41) / 100 + 2 for n in range(1, 101)]
    many = [
        structs.replace(run.epochs[0], epoch=n, validation_loss=loss)
        for n, loss in enumerate(losses, 1)
    ]
    text = describe_run("overfitting", run.with_parts(epochs=many)) or ""
    assert text.count("\n- epoch") <= MAX_LISTED_EPOCHS + 1
    for number in (1, 41, 100):
        assert f"- epoch {number}: " in text
    assert "that of epoch 41, 0.590 higher by epoch 100" in text
    assert "`--epoch 41`" in text


def test_run_notes_state_part_of_epoch_when_max_steps_ended_the_run(
    text_file: Path, own_folder: Path
) -> None:
    folder = own_folder / "short"
    keys = {"corpus_dir": str(text_file), "max_steps": 3, "batch_size": 1, "seq_len": 8,
            "max_seq_len": 16, "embed_dim": 16, "num_heads": 2, "num_layers": 1, "ff_dim": 32,
            "tokenizer": "char", "save_dir": str(folder), "device": "cpu"}  # fmt: skip
    train(keys)
    run = open_run_with_epoch(folder)
    read = format_epochs_read(run.summary)
    assert 0 < count_epochs_read(run.summary) < 1
    assert count_tokens_read(run.summary) == 24
    assert run.summary.train_tokens == run.corpus_count("train_tokens")
    said = describe_run("epoch", run) or ""
    assert said.startswith(f"Your run ended by `max_steps` 3, after {read}.")
    assert "`--epoch 1`" in said
    assert read in (describe_run("batch_size", run) or "")
    assert f"read for {read}" in (describe_run("memorization", run) or "")
    data = next(a for a in answer_checklist(folder).answers if a.rule == "data")
    assert f"read for {read}." in data.reason
    overview = overview_lines(describe_listed_run(folder), run, 80)
    assert f"{read} (3 steps)" in overview[0]


def test_an_unfinished_run_is_to_be_resumed(trained: Path) -> None:
    run = open_run_with_epoch(trained)
    assert "descend resume" in (describe_run("checkpoint", run.with_parts(finished=False)) or "")


def test_suggestion_is_another_seed_without_valid_change(trained: Path) -> None:
    run = open_run_with_epoch(trained)
    assert (
        suggest_flags(run, {"embed_dim": 17}, {"embed_dim": 16}) == "try another seed (`--seed 43`)"
    )
    assert suggest_flags(run, {"embed_dim": 17}, {"embed_dim": 32}) == "try `--embed-dim 32`"
    three = [{"batch_size": n} for n in (1, 2, 8)]
    assert (
        suggest_flags(run, *three) == "try `--batch-size 1`, `--batch-size 2` or `--batch-size 8`"
    )


def test_read_run_rejects_run_without_finished_epoch(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes((trained / "run.json").read_bytes())
    lines = (trained / "events.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "events.jsonl").write_text("".join(lines[:5]), encoding="utf-8")
    with pytest.raises(
        RunFolderError, match=r"not finished its first epoch.*descend train --from-run"
    ):
        open_run_with_epoch(tmp_path)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00123456, "0.00123"), (0.0000020387, "0.00000204"), (2.0, "2"), (12345.6, "12,346"),
     (0.5, "0.5"), (333.3, "333"), (0.0, "0")],
)  # fmt: skip
def test_significant_writes_no_power_of_ten(value: float, text: str) -> None:
    assert format_significant(value) == text


@pytest.mark.parametrize("values", [
    {"learning_rate": 0.0}, {"seconds": 0.0, "loss": 0.0, "step": 0}, {"gradient_norm": None},
    {"loss": 1e308, "learning_rate": 1e308, "step": 10**25},
])  # fmt: skip
def test_describe_run_has_a_section_on_each_page_when_steps_are_odd(
    trained: Path, values: dict[str, object]
) -> None:
    run = open_run_with_epoch(trained)
    steps: list[Step] = [structs.replace(step, **values) for step in run.steps]
    odd = run.with_parts(steps=tuple(steps))
    assert all(describe_run(name, odd) for name in TOPICS)


def test_describe_run_has_a_section_on_each_page_when_weights_have_no_size(trained: Path) -> None:
    run = open_run_with_epoch(trained)
    assert any(record.update_to_weight_ratio for record in run.weight_updates)
    odd = [structs.replace(record, weight_rms={}) for record in run.weight_updates]
    assert all(describe_run(n, run.with_parts(weight_updates=tuple(odd))) for n in TOPICS)


@pytest.mark.parametrize(
    ("peak", "tried"),
    [(0.003, (0.009, 0.001)), (0.3, (0.01, 0.001)), (0.000001, (0.001, 0.0001))],
)
def test_a_rate_far_from_all_that_is_usual_leads_back_to_those(
    trained: Path, peak: float, tried: tuple[float, float]
) -> None:
    run = open_run_with_epoch(trained)
    run = run.with_parts(steps=tuple(structs.replace(s, learning_rate=peak) for s in run.steps))
    rates = [change["learning_rate"] for change in alternative_learning_rates(run)]
    assert rates == pytest.approx(tried)
