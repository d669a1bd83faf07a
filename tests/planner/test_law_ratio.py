"""What more of something would bring, as a ratio: what is uncertain in both runs cancels."""

from __future__ import annotations

import msgspec
import pytest

from descend.planner.scaling_law import ScalingLawInput, load_scaling_law

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
