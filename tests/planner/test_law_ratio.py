"""What more of something would bring, as a ratio: what is uncertain in both runs cancels."""

from __future__ import annotations

import math

import msgspec
import pytest

from descend.planner.scaling_law import MIN_FITTED_BYTES, ScalingLawInput, load_scaling_law

NOW = ScalingLawInput(
    text_difficulty=3.0, block_parameters=100_000, width=128, vocab_size=1024, bytes_per_token=2.3,
    train_tokens=400_000, tokens=800_000, batch_tokens=1024, context=128,
)  # fmt: skip


def test_ratio_of_equal_runs_is_one_within_the_spread_of_runs() -> None:
    law = load_scaling_law()
    ratio, low, high = law.ratio(NOW, NOW)
    assert ratio == pytest.approx(1.0)
    assert low < 1 < high
    assert high / low < 1.1


def test_ratio_is_that_of_the_predictions_and_narrower_than_one_of_them() -> None:
    law = load_scaling_law()
    then = msgspec.structs.replace(NOW, train_tokens=4_000_000.0, tokens=1_600_000.0)
    ratio, low, high = law.ratio(NOW, then)
    assert ratio == pytest.approx(law.bits_per_byte(then) / law.bits_per_byte(NOW))
    assert low < ratio < 1
    alone = law.interval(then)
    assert high / low < alone[1] / alone[0]


def test_interval_is_wider_for_texts_shorter_than_the_law_was_fitted_to() -> None:
    law = load_scaling_law()

    def log_width(train_bytes: float) -> float:
        tokens = train_bytes / NOW.bytes_per_token
        low, high = law.interval(
            msgspec.structs.replace(NOW, train_tokens=tokens, tokens=2 * tokens)
        )
        return math.log(high / low)

    assert log_width(18_000) > log_width(45_000) > log_width(1.001 * MIN_FITTED_BYTES)
    at_its_edge = log_width(0.999 * MIN_FITTED_BYTES)
    assert at_its_edge == pytest.approx(log_width(1.001 * MIN_FITTED_BYTES), rel=0.01)
    # Runs on 20 kB ended up to 10 % from their prediction.
    assert log_width(18_000) > 2 * 0.1
