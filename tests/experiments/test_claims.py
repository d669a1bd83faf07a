"""What the pages on experiments quote is what the committed results hold."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from descend.experiments.estimate import Estimate, to_loss_reduction
from descend.report.text.experiment_tables import format_bracketed, format_loss_reduction

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
BLOCK = re.compile(r"<!-- measured: \w+ -->.*?<!-- end -->", re.DOTALL)
EFFECT = re.compile(r"[+-]\d+\.\d+")


def read(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return record


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def claim_rows() -> dict[str, list[str]]:
    """The cells after each claim."""
    lines = [line for line in page("claims.md").splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {row[0]: row[1:] for row in rows[1:]}


def test_every_measured_difference_is_quoted_as_it_is() -> None:
    text = page("claims.md")
    files = sorted((RESULTS / "compare").glob("*.json"))
    assert files
    for file in files:
        record = json.loads(file.read_text(encoding="utf-8"))
        assert f"`compare/{file.stem}`" in text
        for arm in record["result"]["arms"][1:]:
            difference = Estimate(arm["difference"]["value"], tuple(arm["difference"]["ci95"]))
            assert format_bracketed(to_loss_reduction(difference)) in text
        assert "/work" not in file.read_text(encoding="utf-8")


def test_the_quoted_numbers_are_noticed_when_wrong() -> None:
    assert format_bracketed(Estimate(0.102, (0.010, 0.191))) not in page("claims.md")


def test_every_claim_has_a_reproducing_command() -> None:
    script = (ROOT / "benchmarks" / "claims.py").read_text(encoding="utf-8")
    rows = claim_rows()
    assert len(rows) > 9
    for claim, (experiment, *_) in rows.items():
        for name in re.findall(r"`(compare/\w+)`", experiment):
            assert f'"{name}": (' in script, claim
            assert read(name)["command"].startswith("descend compare tinyshakespeare.txt"), claim


def test_all_changes_claim_matches_both_result_sets() -> None:
    row = claim_rows()["the five changes from `old` to `guide` make the model learn"]
    texts = (
        "0.02_tinyshakespeare",
        "0.05_tinyshakespeare",
        "0.05_moby_dick",
        "0.2_tinyshakespeare",
    )
    names = [f"attribute/old_guide_{text}" for text in texts]
    little, more, other, large_sample = (read(name)["result"] for name in names)
    parts, others = ({s["key"]: s["value"] for s in one["contributions"]} for one in (more, other))
    total = [one["total_difference"]["value"] for one in (little, more, other, large_sample)]
    expected_effects = [
        *total[:2],
        parts["epoch"],
        parts["seq_len"],
        total[2],
        others["epoch"],
        total[3],
    ]
    assert EFFECT.findall(row[1]) == [format_loss_reduction(value) for value in expected_effects]
    ends = [read(f"presets/tinyshakespeare_{p}") for p in ("old", "guide", "old_10")]
    *losses, longer = (f"{one['result']['validation_loss']:.3f}" for one in ends)
    assert f"{' → '.join(losses)}, and {longer} by ten epochs of `old`" in row[1]
    for preset, loss in zip(("old", "guide"), losses, strict=True):
        assert re.search(rf"`{preset}` .*\*\*{loss}\*\*", page("presets.md"))


def test_the_row_on_precision_quotes_the_timings() -> None:
    row = claim_rows()["mixed precision is twice as fast"]
    for machine, rounds, number in (("epyc", "one", 1), ("xeon/before", "two", 2)):
        record = read(f"speed/{machine}/tokens_per_second")
        speeds = {r["arm"]: r for r in record["summary"] if r["size"] == "guide"}
        assert {r["rounds"] for r in speeds.values()} == {number}, rounds
        for program in ("textbook", "Trainer"):
            fast, plain = (speeds[f"{program}, {kind}"] for kind in ("bfloat16", "float32"))
            times = fast["tokens_per_second"] / plain["tokens_per_second"]
            assert f"{times:.2f} times" in row[1], (machine, program)
        assert record["command"] in page("claims.md")


def test_the_row_on_epochs_quotes_the_run() -> None:
    row = claim_rows()["loss and accuracy by epoch"]
    record = read("presets/tinyshakespeare_guide")
    last = record["result"]["epochs"][-1]
    assert f"loss {last['loss_end']:.2f} and accuracy {last['accuracy_end'] * 100:.0f} %" in row[1]
    assert record["command"] in page("claims.md")


@pytest.mark.parametrize("name", ["attribute.md", "compare.md"])
def test_page_text_quotes_only_tabulated_effects(name: str) -> None:
    """Tables and examples are made from the results (tests/benchmarks/test_tables.py)."""
    text = page(name)
    table_text = "".join(BLOCK.findall(text))
    assert EFFECT.findall(table_text)
    assert set(EFFECT.findall(BLOCK.sub("", text))) <= set(EFFECT.findall(table_text))


def test_stored_attributions_are_reproducible_from_stored_runs() -> None:
    """Copied, so that a file which differs is not mended by the test."""
    files = sorted((RESULTS / "attribute").glob("*.json"))
    assert files
    copies = [Path(shutil.copy(file, file.name)) for file in files]
    subprocess.run([sys.executable, ROOT / "benchmarks" / "attribution.py", *copies], check=True)
    for copy, file in zip(copies, files, strict=True):
        assert read_rounded_result(copy) == read_rounded_result(file)


def read_rounded_result(file: Path) -> object:
    """Without the last digits, in which processors differ."""
    record = json.loads(file.read_bytes(), parse_float=lambda digits: round(float(digits), 9))
    return record["result"]
