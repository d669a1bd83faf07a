"""The campaign in its short form: each part is a script, which exits with 1 if a promise fails.

A part that needs a tool which is not here says so: it is skipped, never passed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "reliability"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


def run_part(script: str, *options: str) -> dict[str, Any]:
    """Run a part of the campaign; its result."""
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), *options, "--out", "result.json"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.stderr.startswith("not run"):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr[-4000:]
    result: dict[str, Any] = json.loads(Path("result.json").read_text())
    return result


def test_no_fault_at_any_call_of_a_save_loses_anything(own_folder: Path) -> None:
    result = run_part("save_faults.py", "--short")
    assert result["failures"] == 0
    assert result["not_fired"] == 0
    assert result["total"] > 200
    assert min(result["tried"].values()) > 10


def test_no_crash_state_of_a_save_loses_anything(own_folder: Path) -> None:
    result = run_part("crash_states.py")
    assert result["failures"] == 0
    assert result["total"] > 200


@pytest.mark.parametrize(("kind", "min_count"), [("syncs", 17), ("checks", 8)])
def test_each_sync_and_check_that_is_taken_out_is_noticed(
    own_folder: Path, kind: str, min_count: int
) -> None:
    result = run_part("mutations.py", "--kind", kind)
    assert result["missed"] == []
    assert result["noticed"] == len(result["mutations"]) >= min_count


def test_the_test_of_each_promise_notices_that_its_check_is_taken_out(own_folder: Path) -> None:
    result = run_part("check_mutations.py")
    assert result["missed"] == []
    assert result["not_run"] == []
    assert result["noticed"] == result["total"] > 25


def test_no_power_cut_on_a_real_disk_loses_anything(own_folder: Path) -> None:
    result = run_part("power_cuts.py", "--cuts", "200")
    assert result["failures"] == 0
    assert result["total"] == 200


def test_no_kill_at_any_time_changes_a_run(own_folder: Path) -> None:
    result = run_part("kills.py", "--kills", "60")
    assert result["failures"] == 0
    assert result["total"] >= 60
    assert result["in_saves"] > 5


def test_a_signal_in_any_phase_loses_no_step(own_folder: Path) -> None:
    result = run_part("stop_signals.py", "--short")
    assert result["failures"] == 0
    assert result["not_fired"] == 0
    assert result["total"] >= 14


def test_no_full_or_read_only_disk_loses_a_save(own_folder: Path) -> None:
    result = run_part("full_disks.py", "--short")
    assert result["failures"] == 0
    assert min(result["tried"].values()) >= 1
    assert len(result["tried"]) == 4


def test_a_resume_is_exact_for_all_pairs_of_settings(own_folder: Path) -> None:
    result = run_part("exact_resume.py", "--short")
    assert result["failures"] == 0
    assert result["rows"] >= 12


def test_a_hostile_folder_ends_in_a_sentence(own_folder: Path) -> None:
    result = run_part("hostile_verbs.py", "--short")
    assert result["failures"] == 0
    assert result["folders"] >= 80


def test_a_planted_divergence_is_contained(own_folder: Path) -> None:
    result = run_part("divergence.py", "--short")
    assert result["bad_checkpoints"] == 0
    assert result["not_fired"] == 0
    assert result["share"] >= 0.8


def test_whatever_a_reader_is_given_it_answers_with_a_sentence(own_folder: Path) -> None:
    result = run_part("fuzz.py", "--seconds", "3")
    assert result["problems"] == []
    assert result["readers"] == result["planned"] > 25
    assert min(result["inputs"].values()) > 0


def test_any_configuration_gives_a_run_or_a_sentence(own_folder: Path) -> None:
    result = run_part("configs.py", "--short")
    assert result["problems"] == []
    assert result["rows"] == 30
    assert result["trained"]["finished"] > 5
    assert result["checked"]["refused"] > 1000


def test_memory_does_not_grow_with_the_steps(own_folder: Path) -> None:
    assert run_part("memory_steps.py", "--short")["holds"]


def test_a_run_that_gets_no_memory_loses_nothing(own_folder: Path) -> None:
    result = run_part("memory_kills.py", "--short")
    assert result["failures"] == 0
    assert result["kinds"]["kernel"] > 1


def test_a_record_with_a_value_of_another_type_ends_in_a_sentence(own_folder: Path) -> None:
    result = run_part("record_types.py", "--short", "--minutes", "2")
    assert result["problems"] == []
    assert result["alone_otherwise"] == 0
    assert result["total"] > 20
