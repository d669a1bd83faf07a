"""`train --show-metrics`: what it tells, and that it changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from descend import run
from descend.cli.main import run as cli
from descend.diagnosis.reference_ranges import REFERENCE_RANGES, reference_range
from descend.report.text.metrics_line import format_metrics_line, with_metrics_lines
from descend.runs.events import Step, WeightUpdateStats


def test_ranges_are_those_of_the_optimizer() -> None:
    metric = "update_to_weight_ratio"
    assert reference_range(metric) == REFERENCE_RANGES[metric]
    low, high = reference_range(metric, "adamw")
    assert low is not None
    assert high is not None
    assert low < 0.001 < high  # Karpathy's rule of thumb for AdamW
    steps = [Step(n, 1, 3.0, 0.2, 1e-3, 1.0, clipped=False, seconds=0.1) for n in range(1, 200)]
    matrices = [
        WeightUpdateStats(n, {"w": 1.0}, {"w": 1.0}, {"w": 0.001}) for n in range(25, 200, 25)
    ]
    assert "low" in format_metrics_line(steps, matrices, [], 20, "muon")
    assert "low" not in format_metrics_line(steps, matrices, [], 20, "adamw")


def step(number: int, clipped: bool = False) -> Step:
    return Step(number, 1, 5.0, 0.1, 0.001, 1.0, clipped, 0.1)


def test_metric_outside_reference_range_is_marked() -> None:
    steps = [step(n + 1, clipped=n % 4 != 0) for n in range(200)]
    matrices = [WeightUpdateStats(n, {}, {}, {"a": 0.0001}) for n in (1, 26)]
    line = format_metrics_line(steps, matrices, [], 148)
    assert "clipped 0.75 of steps (high, normal up to 0.5)" in line
    assert "update to weight 0.0001 a step (low, normal from 0.002)" in line
    assert "first loss 1 of ln V;" in line


def test_records_pass_through_as_they_are() -> None:
    progress_texts: list[str] = []
    steps = [step(n + 1) for n in range(450)]
    assert list(with_metrics_lines(iter(steps), 400, 100, progress_texts.append)) == steps
    assert len(progress_texts) == 4


def test_watching_leaves_every_weight_as_it_would_be(tiny: dict[str, Any], tiny_file: Path) -> None:
    run(tiny | {"save_dir": "plain", "epoch": 1, "device": "cpu"})
    words = ["train", str(tiny["corpus_dir"]), "--config", str(tiny_file), "--epoch", "1"]
    assert cli([*words, "--save-dir", "watched", "--show-metrics", "--device", "cpu"]) == 0
    one, other = (Path(f, "model.safetensors").read_bytes() for f in ("plain", "watched"))
    assert one == other
