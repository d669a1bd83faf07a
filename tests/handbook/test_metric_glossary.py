"""Every metric of the diagnosis has a page, and the page tells what a diagnosis read of a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from descend.diagnosis.diagnosis_result import Evidence
from descend.diagnosis.measure import measure_run
from descend.diagnosis.metric_text import format_metric
from descend.diagnosis.reference_ranges import reference_range
from descend.diagnosis.run_context import load_run_context
from descend.handbook.metric_glossary import METRIC_DESCRIPTIONS, PAGE_METRICS
from descend.handbook.page_lookup import find_page, load_all_pages
from descend.handbook.run_notes import describe_run
from descend.handbook.run_notes.metric_notes import IN_THE_RECORDS
from descend.handbook.run_notes.topics import TOPICS
from descend.metrics.measurement import Measurement
from descend.runs.recorded_run import open_run_with_epoch


@pytest.fixture(scope="module")
def measurements(trained: Path) -> dict[str, Measurement]:
    return measure_run(load_run_context(trained))


@pytest.fixture(scope="module")
def diagnosed(
    trained: Path, measurements: dict[str, Measurement], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run with a diagnosis that tried nothing, but read all that can be read."""
    folder = tmp_path_factory.mktemp("models") / "diagnosed"
    shutil.copytree(trained, folder)
    taken = [
        Evidence(r.metric, r.value, r.unit, reference_range(r.metric), "")
        for r in measurements.values()
    ]
    content = {
        "run": str(folder), "verdict": "healthy", "probability": 0.9, "causes": [],
        "ruled_out": [], "measurements": msgspec.to_builtins(taken), "warnings": [],
        "cost": {"seconds": 1.0, "fraction_of_run": 0.1},
    }  # fmt: skip
    (folder / "diagnosis.json").write_text(json.dumps(content))
    return folder


def test_every_metric_has_a_page(measurements: dict[str, Measurement]) -> None:
    assert {
        "max_attention_logit",
        "dead_unit_fraction",
        "rare_token_loss_fraction",
        "gradient_noise_scale",
    } <= measurements.keys()
    pages = {
        reading: page for page, page_metrics in PAGE_METRICS.items() for reading in page_metrics
    }
    assert measurements.keys() <= pages.keys()
    for reading, page in pages.items():
        assert find_page(reading).name == page or reading in load_all_pages()
    assert PAGE_METRICS.keys() <= load_all_pages().keys()


def test_metric_page_shows_diagnosis_measurement(
    diagnosed: Path, measurements: dict[str, Measurement]
) -> None:
    run = open_run_with_epoch(diagnosed)
    num_quoted = 0
    for page, page_metrics in PAGE_METRICS.items():
        for name in set(page_metrics) & measurements.keys() - IN_THE_RECORDS:
            reading = measurements[name]
            words = format_metric(name, reading.value, reading.unit)
            assert words in (describe_run(page, run) or "")
            num_quoted += 1
    assert num_quoted > 20
    sharpness = describe_run("attention_sharpness", run) or ""
    assert sharpness.startswith("The diagnosis of your run measured:\n\n- largest attention logit ")
    assert "(normal: under 100): the largest score of any head" in sharpness
    assert {
        name for page_metrics in PAGE_METRICS.values() for name in page_metrics
    } >= METRIC_DESCRIPTIONS.keys()


def test_metric_page_suggests_diagnose_when_undiagnosed(trained: Path) -> None:
    run = open_run_with_epoch(trained)
    for page in PAGE_METRICS.keys() - TOPICS.keys():
        assert f"`descend diagnose {trained}` measures it" in (describe_run(page, run) or "")


def test_metric_page_reports_missing_measurement(diagnosed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(diagnosed, copy)
    whole = json.loads((copy / "diagnosis.json").read_text())
    (copy / "diagnosis.json").write_text(json.dumps(whole | {"measurements": []}))
    assert "did not measure it" in (describe_run("dead_units", open_run_with_epoch(copy)) or "")
