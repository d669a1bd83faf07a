"""What is said of experiments, made from plain records."""

from __future__ import annotations

import pytest
from msgspec import structs

from descend.experiments.compare.finished_runs import FinishedComparison, FinishedRun
from descend.report.text.experiment_summary import compare_with_base, summarize_finished_runs
from descend.report.text.run_table import finished_text


def finished_run(name: str, bits: float, num_epochs: float = 1.0) -> FinishedRun:
    return FinishedRun(
        run=name, bits_per_byte=bits, gain=None, validation_loss=2 * bits, accuracy=0.2,
        parameters=9, epochs=num_epochs, seconds=1.0, finished=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("bits", "same", "words"),
    [(2.4, True, "b is better by 0.100 bits per byte"),
     (2.4, True, "run `descend compare --arm a --arm b`."), (2.499, True, "no reliable difference"),
     (2.4, False, "their losses cannot be compared")],
)  # fmt: skip
def test_summarize_finished_runs_ranks_them_only_when_they_are_comparable(
    bits: float, same: bool, words: str
) -> None:
    runs = [finished_run("a", 2.5), finished_run("b", bits)]
    rates = {"learning_rate": ["0.001", "0.003"]}
    comparison = FinishedComparison(runs=runs, differences=rates, same_validation=same)
    assert words in summarize_finished_runs(comparison)
    longer = structs.replace(
        comparison, differences={"epoch": ["3", "6"], "bpe_dropout": ["0.1", "0.3"]}
    )
    assert "--arm" not in summarize_finished_runs(longer)


@pytest.mark.parametrize(
    ("bits", "same", "sentence"),
    [(2.4, True, "Compared with a: 2.400 bits per byte instead of 2.500 (4.0% lower)."),
     (2.6, True, "Compared with a: 2.600 bits per byte instead of 2.500 (4.0% higher)."),
     (2.499, True, "a: 2.499 bits per byte instead of 2.500 (no reliable difference)."),
     (2.4, False, "")],
)  # fmt: skip
def test_compare_with_base_says_how_far_a_changed_run_is_better(
    bits: float, same: bool, sentence: str
) -> None:
    runs = [finished_run("a", 2.5), finished_run("b", bits)]
    comparison = FinishedComparison(runs=runs, differences={}, same_validation=same)
    assert compare_with_base(comparison).endswith(sentence)
    assert bool(compare_with_base(comparison)) == same


def test_finished_text_counts_a_part_of_an_epoch_as_a_part() -> None:
    runs = [finished_run("a", 2.5, 0.0771), finished_run("b", 2.4)]
    comparison = FinishedComparison(runs=runs, differences={}, same_validation=True)
    _, _, part, whole, *_ = finished_text(comparison).splitlines()
    assert part.split()[-3] == "0.077"
    assert whole.split()[-3] == "1"


def test_finished_text_shows_accuracy_beside_the_bigram_baseline() -> None:
    first = structs.replace(finished_run("a", 2.5), bigram_accuracy=0.244)
    comparison = FinishedComparison(
        runs=[first, finished_run("b", 2.4)], differences={}, same_validation=True
    )
    head, _, beside, without, *_ = finished_text(comparison).splitlines()
    assert "accuracy (bigram)" in head
    assert "20.0% (24.4%)" in beside
    assert "20.0% " in without
    assert "(" not in without


def test_finished_text_shows_no_power_of_ten_when_a_setting_is_small() -> None:
    runs = [finished_run("a", 2.5), finished_run("b", 2.4)]
    differences = {"learning_rate": ["3e-05", "0.0009"], "minutes": ["None", "1.0"]}
    comparison = FinishedComparison(runs=runs, differences=differences, same_validation=True)
    lines = finished_text(comparison).splitlines()
    assert "  learning_rate: 0.00003, 0.0009" in lines
    assert "  minutes: not set, 1.0" in lines
