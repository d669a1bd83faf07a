"""Sentences that say what the numbers say, and not more."""

from __future__ import annotations

import pytest

from descend.report.words import epoch_line, paragraph
from descend.runs.folder import Summary
from descend.runs.records import Epoch
from descend.units import duration, size


def epoch(number: int, validation_loss: float, loss_end: float = 3.0) -> Epoch:
    return Epoch(
        epoch=number, step=10 * number, loss_start=6.0, loss_end=loss_end, accuracy_start=0.1,
        accuracy_end=0.3, validation_loss=validation_loss, validation_accuracy=0.25,
        bits_per_byte=2.0, tokens_per_second=1000.0, seconds=60.0,
    )  # fmt: skip


def summary(*losses: float, last_train_loss: float = 3.0) -> Summary:
    epochs = [epoch(n, loss, last_train_loss) for n, loss in enumerate(losses, 1)]
    best = min(epochs, key=lambda e: e.validation_loss)
    return Summary(
        model_dir="models/x", parameters=1, seconds=90.0, tokens_per_second=1.0, epochs=epochs,
        best_epoch=best.epoch, validation_loss=best.validation_loss,
        validation_accuracy=0.25, bits_per_byte=2.0,
        loss_ladder={"uniform": 8.0, "unigram": 6.0, "bigram": 4.5}, finished=True, samples=[],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("losses", "said", "not_said"),
    [
        ((5.0, 4.2, 4.0), ["0.50 below what counting pairs", "still falling"], ["overfitting"]),
        ((4.2, 4.0, 4.0), ["levelled off"], ["overfitting", "still falling"]),
        ((4.2, 4.0, 4.3), ["best epoch was 2", "overfitting", "best epoch are the ones kept"], []),
        ((5.5, 5.2), ["Counting pairs of tokens would do as well"], ["below what counting pairs"]),
        ((6.1, 6.05), ["Counting single tokens would do as well"], ["learned from the context"]),
        ((4.0,), ["After a single epoch nothing can be said"], ["overfitting", "levelled"]),
    ],
)
def test_the_paragraph_tells_the_curves_apart(
    losses: tuple[float, ...], said: list[str], not_said: list[str]
) -> None:
    text = paragraph(summary(*losses), 1_000_000)
    for part in said:
        assert part in text
    for part in not_said:
        assert part not in text


def test_the_paragraph_never_compares_the_guide_with_held_out_text_unawares() -> None:
    text = paragraph(summary(4.2, 4.0), 1_000_000)
    assert "the guide's picture is 6.2 to 4.8 in the first and 1.9 to 1.8" in text
    assert "Those are losses on text the model trains on" in text


def test_the_line_of_an_epoch_has_the_guides_numbers_and_ours() -> None:
    line = epoch_line(epoch(1, 4.321), 10)
    for part in ("1/10", "6.00 → 3.00", "10% → 30%", "4.321", "2.000 bits/byte", "25.0%", "1,000"):
        assert part in line


def test_units_read_well() -> None:
    shown = [duration(s) for s in (0.25, 42, 200, 7500)]
    assert shown == ["0.2 s", "42 s", "3 min 20 s", "2 h 05 min"]
    assert [size(n) for n in (999, 3200, 17e6, 1.4e9)] == ["999 bytes", "3.2 kB", "17 MB", "1.4 GB"]
