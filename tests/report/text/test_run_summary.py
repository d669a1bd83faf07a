"""Sentences that say what the numbers say, and not more."""

from __future__ import annotations

import msgspec
import pytest

from descend.report.text.next_step import choose_step_after_training, format_next_step
from descend.report.text.run_summary import (
    format_accuracy_baselines,
    format_epoch,
    format_run_end,
    how_good,
    overfitting_line,
    summarize_run,
    what_it_means,
)
from descend.runs.events import Epoch, Overfitting, Sample
from descend.runs.run_files import RunSummary
from descend.units import (
    format_bytes,
    format_duration,
    format_epochs,
    format_part_read,
    format_percentage_points,
)


def epoch(number: int, validation_loss: float, loss_end: float = 3.0) -> Epoch:
    return Epoch(
        epoch=number, step=10 * number, loss_start=6.0, loss_end=loss_end, accuracy_start=0.1,
        accuracy_end=0.3, validation_loss=validation_loss, validation_accuracy=0.25,
        bits_per_byte=2.0, tokens_per_second=1000.0, seconds=60.0,
    )  # fmt: skip


def summary(*losses: float, last_train_loss: float = 3.0) -> RunSummary:
    epochs = [epoch(n, loss, last_train_loss) for n, loss in enumerate(losses, 1)]
    best = min(epochs, key=lambda e: e.validation_loss)
    return RunSummary(
        model_dir="models/x", parameters=1, seconds=90.0, tokens_per_second=1.0, epochs=epochs,
        best_epoch=best.epoch, validation_loss=best.validation_loss,
        validation_accuracy=0.25, bits_per_byte=2.0,
        ngram_baselines={"uniform": 8.0, "unigram": 6.0, "bigram": 4.5}, finished=True, samples=[],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("losses", "said", "not_said"),
    [
        ((5.0, 4.2, 4.0), ["0.50 below the bigram baseline", "still falling"], ["overfitting"]),
        ((4.2, 4.0, 4.0), ["leveled off"], ["overfitting", "still falling"]),
        ((4.2, 4.0, 4.3), ["best epoch was 2", "overfitting", "best epoch are kept"], []),
        ((5.5, 5.2), ["The bigram baseline reaches"], ["below the bigram"]),
        ((6.1, 6.05), ["The unigram baseline reaches"], ["more context"]),
        ((4.0,), ["One epoch is not enough"], ["overfitting", "leveled"]),
    ],
)
def test_the_paragraph_tells_the_curves_apart(
    losses: tuple[float, ...], said: list[str], not_said: list[str]
) -> None:
    text = summarize_run(summary(*losses))
    for part in said:
        assert part in text
    for part in not_said:
        assert part not in text


def test_summary_describes_shortened_run_with_fractional_epochs() -> None:
    whole = summary(5.0, 4.2, 4.0)
    assert summarize_run(whole).startswith("After 3 epochs and 1 min 30 s, the validation loss is")
    assert "The model predicts 25% of the next tokens correctly." in summarize_run(whole)
    cut = msgspec.structs.replace(whole, num_epochs=2.04)
    assert summarize_run(cut).startswith("After 2.04 epochs and 1 min 30 s, the validation loss")


def test_summary_states_part_of_text_when_less_than_an_epoch_was_read() -> None:
    short = msgspec.structs.replace(
        summary(7.0), num_epochs=2400 / 31120, seconds=80.0, tokens_per_second=30.0,
        train_tokens=31134, ngram_baselines={"uniform": 8.0, "unigram": 7.5, "bigram": 7.2},
    )  # fmt: skip
    said = (
        "The run read 7.7% of the text (2,400 of 31,134 tokens). "
        "`descend continue models/x --epoch 1` reads all of it."
    )
    assert said in what_it_means(short)
    assert said in summarize_run(short)
    without = msgspec.structs.replace(short, train_tokens=None)  # of an older version
    assert "7.7% of the text. `descend continue" in what_it_means(without)
    nearly = msgspec.structs.replace(short, num_epochs=0.97)
    assert "97% of the text (" in what_it_means(nearly)
    but_for_a_batch = msgspec.structs.replace(short, num_epochs=0.999)
    assert "One epoch is not enough" in what_it_means(but_for_a_batch)


@pytest.mark.parametrize(
    ("loss", "num_epochs", "command"),
    [(5.0, 0.14, "descend continue models/x --epoch 1"), (5.0, 0.999, "descend diagnose models/x"),
     (4.0, 0.14, "descend generate models/x"), (6.1, 0.14, "descend diagnose models/x")],
)  # fmt: skip
def test_next_step_reads_on_or_asks_why_when_the_bigram_baseline_is_better(
    loss: float, num_epochs: float, command: str
) -> None:
    done = msgspec.structs.replace(summary(loss), num_epochs=num_epochs)
    assert (choose_step_after_training("models/x", done).command or "").startswith(command)


@pytest.mark.parametrize(
    ("num_epochs", "part", "epochs"),
    [(0.0771, "7.7%", "0.077 epochs"), (0.999, "99%", "0.99 epochs"), (0.65, "65%", "0.65 epochs")],
)  # fmt: skip
def test_part_of_text_is_written_alike_when_less_than_all_was_read(
    num_epochs: float, part: str, epochs: str
) -> None:
    assert format_part_read(num_epochs) == part
    assert format_epochs(num_epochs) == epochs


def test_format_epoch_numbers_the_part_when_the_last_epoch_is_not_whole() -> None:
    assert format_epoch(epoch(1, 6.1), 1, 0.0771).startswith("epoch 0.077  training loss")
    assert format_epoch(epoch(3, 6.1), 3, 2.41).startswith("epoch 2.4  training loss")
    assert format_epoch(epoch(3, 6.1), 3, 3.002).startswith("epoch 3/3  training loss")


def test_no_sentence_speaks_of_a_guide() -> None:
    for some in (summary(4.2, 4.0), summary(4.2)):
        assert "guide" not in summarize_run(some) + format_run_end(some)


def test_the_end_is_a_quality_and_its_meaning() -> None:
    good, means = format_run_end(summary(4.2, 4.0)).splitlines()
    assert good == (
        "The model predicts 25% of the next tokens correctly. Validation loss 4.000 (bigram "
        "baseline 4.50, random guess 8.00)."
    )
    assert means == (
        "It uses more context than the previous token. It was still improving at the end."
    )


@pytest.mark.parametrize(
    ("bigram", "beside"), [(3.85, "worse than"), (4.5, "no better than"), (4.6, None)]
)
def test_summary_does_not_deny_context_when_loss_is_above_bigram(
    bigram: float, beside: str | None
) -> None:
    run = msgspec.structs.replace(
        summary(4.498), validation_accuracy=0.526,
        ngram_baselines={"uniform": 6.93, "unigram": 6.78, "bigram": bigram},
    )  # fmt: skip
    said = f"{beside} the bigram baseline on this validation text, though it guesses 53%"
    for text in (what_it_means(run), summarize_run(run)):
        assert "little context" not in text
        assert (said in text) is (beside is not None)


def test_accuracy_stands_beside_that_of_the_bigram_baseline_when_it_is_known() -> None:
    run = msgspec.structs.replace(
        summary(4.2), validation_accuracy=0.09,
        accuracy_baselines={"unigram": 0.05, "bigram": 0.12},
    )  # fmt: skip
    right = "The model predicts 9% of the next tokens correctly (bigram baseline 12%)"
    assert right in how_good(run)
    assert right in summarize_run(run)
    header = format_accuracy_baselines(run.accuracy_baselines)
    assert header == "baseline accuracy (higher is better): most common token 5%, bigram 12%"
    assert format_accuracy_baselines({}) == ""


@pytest.mark.parametrize(("accuracy", "is_praised"), [(0.09, False), (0.124, False), (0.3, True)])
def test_accuracy_is_praised_only_when_above_the_bigram_baseline(
    accuracy: float, is_praised: bool
) -> None:
    run = msgspec.structs.replace(
        summary(4.6), validation_accuracy=accuracy,
        accuracy_baselines={"unigram": 0.05, "bigram": 0.12},
    )  # fmt: skip
    assert "worse than the bigram baseline" in what_it_means(run)
    assert ("although its accuracy is higher" in what_it_means(run)) is is_praised


def test_a_run_that_learned_nothing_is_not_called_converged() -> None:
    means = format_run_end(summary(7.908, 7.9)).splitlines()[1]
    assert means == (
        "It has learned almost nothing yet. Its loss hardly changed in the last epoch."
    )
    means = format_run_end(summary(4.002, 4.0)).splitlines()[1]
    assert means.endswith("The validation loss had leveled off.")


def test_further_training_that_made_it_worse_is_said_and_diagnosed() -> None:
    worse = msgspec.structs.replace(summary(4.2), continued=True, parent_validation_loss=4.0)
    assert "the model that it continued has the lower loss." in what_it_means(worse)
    step = choose_step_after_training("models/x", worse)
    assert format_next_step(step) == "next: descend diagnose models/x"
    better = msgspec.structs.replace(worse, parent_validation_loss=4.4)
    assert "made it worse" not in what_it_means(better)


def test_an_exploded_run_is_called_failed() -> None:
    failed = summary(1158.96)
    assert how_good(failed) == (
        "Training diverged: the validation loss is 1159 (random guess: 8.0)."
    )
    assert "learned nothing" in what_it_means(failed)
    step = choose_step_after_training("models/x", failed)
    assert format_next_step(step) == "next: descend diagnose models/x"
    assert "the validation loss is 4" not in summarize_run(failed)


def test_overfitting_line_names_the_action_when_a_run_overfits() -> None:
    overfitting = Overfitting(50, 5, 4.3, 3, 4.0, 20)
    assert "Training rolls back to epoch 3 and ends with 20 steps" in overfitting_line(overfitting)
    obeyed = overfitting_line(msgspec.structs.replace(overfitting, decay_steps=0))
    assert "The weights of epoch 3 are kept unless a later epoch is better." in obeyed
    assert (
        "Training continues, since its length is set (--epoch, --max-steps, or --minutes)."
        in obeyed
    )
    run = msgspec.structs.replace(summary(4.2, 4.0, 4.3), overfitting=overfitting)
    assert "overfits" in what_it_means(run)
    assert "Training rolled back to epoch 3" in summarize_run(run)


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (
            4.5,
            "went from 4.500 to 4.000 nats per token (2.00 bits per byte). This is an improvement.",
        ),
        (4.01, "No reliable improvement: the difference is within seed-to-seed variation."),
        (3.998, "No improvement: the parent model is still better."),
    ],
)
def test_summary_compares_continued_run_with_initial_loss(before: float, said: str) -> None:
    further = msgspec.structs.replace(
        summary(4.2, 4.0), continued=True, parent_validation_loss=before
    )
    assert said in summarize_run(further)
    assert "the validation loss is 4" not in summarize_run(further)


@pytest.mark.parametrize(
    ("prompt", "command"),
    [
        (" Der Schüler\nlernt heute.", '"Der Schüler lernt"'),
        ('Er sagte "ja" und', "'Er sagte \"ja\"'"),
        ("\n", '"Once upon a time"'),
        ("東" * 40, f'"{"東" * 30}"'),
    ],
)
def test_suggested_prompt_matches_corpus_language(prompt: str, command: str) -> None:
    done = msgspec.structs.replace(summary(4.0), samples=[Sample(1, prompt, "…")])
    step = choose_step_after_training("models/x", done)
    assert format_next_step(step) == f"next: descend generate models/x {command}"


def test_the_line_of_an_epoch_has_both_losses() -> None:
    line = format_epoch(epoch(1, 4.321), 10)
    for part in ("1/10", "6.00 → 3.00", "4.321", "25.0%"):
        assert part in line


def test_units_read_well() -> None:
    assert [format_percentage_points(d) for d in (-0.014, 0.0, 0.2)] == [
        "-1.4 points",
        "+0.0 points",
        "+20.0 points",
    ]
    texts = [format_duration(s) for s in (0.25, 42, 200, 7500)]
    assert texts == ["0.2 s", "42 s", "3 min 20 s", "2 h 05 min"]
    assert [format_bytes(n) for n in (999, 3200, 17e6, 1.4e9)] == [
        "999 bytes",
        "3.2 kB",
        "17 MB",
        "1.4 GB",
    ]
