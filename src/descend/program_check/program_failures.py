"""What a program raises, in words."""

from __future__ import annotations

import traceback
from pathlib import Path

from descend.program_check.bug_report import CONNECT_LOSS, ProgramEndedError, ProgramError

ENDINGS = (SystemExit, KeyboardInterrupt, GeneratorExit)
"""What a program raises that ends itself."""


def format_exception(problem: BaseException) -> str:
    """Return an exception in one short line."""
    name, lines = type(problem).__name__, str(problem).strip().splitlines()
    return f"{name}: {lines[0][:120]}" if lines else name


def import_error(spec: str, problem: BaseException) -> ProgramError:
    """Return what to say of a program that `problem` ended before its first training step."""
    line = _line_of(spec, problem)
    words = format_exception(problem) + (f" at line {line}" if line else "")
    expected = "a program that runs up to its first training step"
    if isinstance(problem, ENDINGS):
        return ProgramEndedError(
            spec, f"one that ends itself before ({words})", expected,
            "give it the arguments that it needs after `--`, and put what trains and exits under "
            '`if __name__ == "__main__":`',
        )  # fmt: skip
    facts = (f"one that fails before ({words})", expected)
    if isinstance(problem, ImportError | SyntaxError | OSError):
        return ProgramError(spec, *facts, _fix_of(problem))
    return ProgramEndedError(spec, *facts, _fix_of(problem))


def _line_of(spec: str, problem: BaseException) -> int | None:
    """Return the line of the program that was running, or that is no Python."""
    if isinstance(problem, SyntaxError):
        return problem.lineno
    frames = traceback.extract_tb(problem.__traceback__)
    own = Path(spec).resolve()
    return next((f.lineno for f in reversed(frames) if Path(f.filename).resolve() == own), None)


def _fix_of(problem: BaseException) -> str:
    """Return what to do about an import that failed."""
    text = str(problem)
    if isinstance(problem, ImportError) and "accelerate" in text:
        return "install accelerate, which the Trainer of transformers needs, beside descend"
    if isinstance(problem, ModuleNotFoundError) and problem.name:
        return f"install {problem.name.partition('.')[0]} into the environment of descend"
    if "does not require grad" in text:
        return CONNECT_LOSS
    return "run it with python first and fix what fails"
