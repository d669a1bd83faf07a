"""Losses of single samples: what their noise hides, and what stands out of it."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from .written_logs import diagnose_text

KINDS = (2.2, 5.0, 7.5, 9.0)
"""Losses of four kinds of samples, of which a batch holds one."""


def sample_noise(count: int, seed: int) -> list[float]:
    """Losses of single samples of a run that changes nothing."""
    draw = random.Random(seed)
    return [draw.choice(KINDS) + draw.gauss(0, 0.2) for _ in range(count)]


def llama_log(losses: list[float]) -> str:
    """The lines of llama.cpp's fine-tuning, in which each iteration sees one sample."""
    return "".join(
        f"train_opt_callback: iter={n:6d} sample={n + 2}/5608 sched={min(1, n / 100):.6f} "
        f"loss={loss:.6f} dt=00:04:59 eta=09:36:08 |------->\n"
        for n, loss in enumerate(losses)
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [20, 40, 117, 400])
def test_trendless_noise_of_single_samples_is_no_divergence(
    count: int, seed: int, tmp_path: Path
) -> None:
    diagnosis = diagnose_text(tmp_path, llama_log(sample_noise(count, seed)))
    assert diagnosis.normal.answer == "cannot tell"
    assert diagnosis.verdict == "unknown"
    assert "within this noise" in diagnosis.normal.reason


def test_single_samples_show_a_fall_where_their_means_fall(tmp_path: Path) -> None:
    draw = random.Random(3)
    losses = [2.5 + 6 * math.exp(-n / 40) + draw.gammavariate(2, 0.6) for n in range(400)]
    diagnosis = diagnose_text(tmp_path, llama_log(losses))
    assert diagnosis.normal.answer == "yes"


@pytest.mark.parametrize("count", [60, 400])
def test_noisy_loss_that_rises_for_good_has_diverged(count: int, tmp_path: Path) -> None:
    draw = random.Random(4)
    low = [3 + 4 * math.exp(-8 * n / count) + draw.gauss(0, 0.5) for n in range(count * 4 // 5)]
    high = [8 + draw.gauss(0, 1) for _ in range(count // 5)]
    assert diagnose_text(tmp_path, llama_log(low + high)).verdict == "diverged"
