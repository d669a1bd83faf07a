"""Loss against fractions of the text, and what ten times the text would bring."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.config import make_config
from descend.experiments.text_fractions import (
    MIN_TRIAL_STEPS,
    FractionPoint,
    measure_text_fractions,
    more_text_gain,
    trial_steps,
)

SMALL = {"embed_dim": 32, "num_heads": 2, "num_layers": 1, "ff_dim": 64, "vocab_size": 512,
         "seq_len": 16, "max_seq_len": 16, "batch_size": 8, "compile": "off"}  # fmt: skip


def point(fraction: float, bits: float, pieces: list[float] | None = None) -> FractionPoint:
    return FractionPoint(fraction, 100, bits, pieces or [], 1.0)


def test_gain_is_the_ratio_of_all_to_a_tenth() -> None:
    pieces = [2.0, 2.5, 3.0, 2.2]
    points = [point(0.1, 2.5, [1.25 * p for p in pieces]), point(0.3, 2.2), point(1.0, 2.0, pieces)]
    gain = more_text_gain(points)
    assert gain is not None
    assert gain.ratio == pytest.approx(0.8)
    low, high = gain.interval
    assert 0.78 < low < 0.8 < high < 0.82


@given(small=st.floats(0.5, 8.0), whole=st.floats(0.5, 8.0))
def test_more_text_never_raises_the_predicted_loss(small: float, whole: float) -> None:
    gain = more_text_gain([point(0.1, small), point(1.0, whole)])
    assert gain is not None
    low, high = gain.interval
    assert 0 < low <= gain.ratio <= high <= 1.0


def test_gain_needs_both_ends() -> None:
    assert more_text_gain([point(1.0, 2.0), point(0.3, 2.2)]) is None
    assert more_text_gain([]) is None


def test_trials_have_a_tenth_of_the_steps() -> None:
    assert trial_steps(3000) == 300
    assert trial_steps(50) == MIN_TRIAL_STEPS


def test_trials_on_fractions_are_measured(varied_text: Path) -> None:
    config = make_config(SMALL | {"corpus_dir": str(varied_text), "learning_rate": 0.003})
    ends = time.perf_counter() + 200
    points = measure_text_fractions(config, 80, lambda: ends - time.perf_counter())
    assert [p.fraction for p in points] == [0.1, 0.3, 1.0]
    assert all(p.steps == 80 and p.pieces for p in points)
    assert points[0].bits_per_byte > points[-1].bits_per_byte  # a tenth is read several times
    assert more_text_gain(points) is not None


def test_unfinished_trial_does_not_count(tiny: dict[str, Any]) -> None:
    assert measure_text_fractions(make_config(tiny), 8, lambda: -1.0) == []
