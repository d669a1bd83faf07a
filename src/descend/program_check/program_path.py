"""The file that a program stands in, before anything of it is run."""

from __future__ import annotations

from importlib.machinery import all_suffixes
from pathlib import Path

from descend.artifacts import RUN_FILE
from descend.program_check.bug_report import ProgramError
from descend.units import quoted


def find_program_file(spec: str) -> Path | None:
    """Return the file that `spec` names, or None for a dotted module name.

    Raises `ProgramError` where the file is missing or is no Python file.
    """
    path = Path(spec)
    if path.is_dir() and not any(file.suffix in all_suffixes() for file in path.iterdir()):
        is_run = (path / RUN_FILE).is_file()
        raise ProgramError(
            spec, "a run folder" if is_run else "a folder without Python files",
            "a Python program or a file of fine-tuning data",
            f"run `descend diagnose {quoted(spec)}`" if is_run
            else f"for a folder of texts, run `descend corpus stats {quoted(spec)}` or "
            f"`descend train {quoted(spec)}`",
        )  # fmt: skip
    if not spec.endswith(".py") and not path.is_file():
        return None
    if not path.is_file():
        raise ProgramError(spec, "no such file", "a Python file", "check the path")
    if path.suffix not in all_suffixes():
        raise ProgramError(
            spec, f"a file that ends in {path.suffix}" if path.suffix else "a file without ending",
            "a Python file, which ends in .py",
            f"name the program that trains, or run `descend corpus stats {quoted(spec)}` for a "
            f"text and `descend diagnose {quoted(spec)}` for a log of losses",
        )  # fmt: skip
    return path
