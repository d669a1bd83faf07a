"""Outside the recorded envelope a resume says why its bits may differ, before the first step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from descend.machine import cpu_instructions
from descend.report.text.run_notices import run_notices
from descend.runs.checksums import seal_json
from descend.training import resumption
from descend.training.resumption import list_differences
from descend.training.training_run import resume_run


def edit_execution(folder: Path, **changes: Any) -> None:
    info = json.loads((folder / "run.json").read_bytes())
    info.pop("sha256")
    info["execution"] |= changes
    (folder / "run.json").write_bytes(seal_json(info))


@pytest.mark.parametrize(("key", "then", "word"), [
    ("torch", "1.0.0", "torch"), ("processor", "Z80", "processor"),
    ("instructions", "MMX", "instruction set"),
])  # fmt: skip
def test_resume_names_what_differs_when_the_machine_is_another(
    stopped: Any, key: str, then: str, word: str
) -> None:
    stopped()
    assert not any("bit" in warning for warning in run_notices(resume_run(Path("run"))))
    edit_execution(Path("run"), **{key: then})
    warnings = " ".join(run_notices(resume_run(Path("run"))))
    assert f"{word} was {then} and is" in warnings
    assert "not to the last bit" in warnings


def test_resume_takes_the_threads_of_the_start(stopped: Any) -> None:
    run = stopped()
    edit_execution(Path("run"), threads=2)
    assert run.plan.execution.threads == 1
    assert resume_run(Path("run")).plan.execution.threads == 2


def test_run_records_the_instruction_set(stopped: Any) -> None:
    execution = stopped().plan.execution
    assert execution.instructions == cpu_instructions() != ""
    assert list_differences(execution, 1) == ()


def test_resume_says_so_when_the_compiler_is_gone(
    stopped: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped()
    edit_execution(Path("run"), compiled=True)
    monkeypatch.setattr(resumption, "can_compile", lambda device: False)
    monkeypatch.setattr("descend.training.training_run.can_compile", lambda device: False)
    run = resume_run(Path("run"))
    assert "C++ compiler was here and is missing" in " ".join(run_notices(run))
    assert not run.plan.execution.compiled
