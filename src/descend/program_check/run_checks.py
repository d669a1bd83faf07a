"""The check of a training program: every bug looked for, found or not, or undetermined."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from types import ModuleType
from typing import Any

import msgspec
import torch

from descend.program_check.bug import Bug
from descend.program_check.bug_report import BugReport, Checked, NotChecked
from descend.program_check.bugs import ABOUT_TOKENS, BUGS
from descend.program_check.child_process import NOT_REACHED
from descend.program_check.coverage import not_covered
from descend.program_check.instrumentation.evaluation_mode import watch_evaluation_mode
from descend.program_check.instrumentation.function_calls import functions_of, recorded_calls
from descend.program_check.instrumentation.state_guard import preserve_state
from descend.program_check.probes.dry_run import dry_run
from descend.program_check.program import (
    Program,
    load_program,
    make_program,
    seed_all,
)
from descend.program_check.program_failures import ENDINGS, format_exception
from descend.program_check.results import (
    BugPresent,
    CheckResult,
    Remark,
    Undetermined,
    UndeterminedError,
)
from descend.program_check.source_lines import own_sources

Report = Callable[[Checked], None]


def check_module(spec: str, arguments: Sequence[str] = (), report: Report | None = None) -> Checked:
    """Import the module `spec` (a dotted name or a path to a .py file) and check it.

    `arguments` are the program's own, `report` is given what is known after each check.
    `ProgramError` if it cannot be imported or has no `model`.
    """
    with _suppress_output(), _arguments(spec, arguments):
        return check_program(load_program(spec), report)


def check_namespace(program: ModuleType | Mapping[str, Any]) -> Checked:
    """Check what is loaded already; it is left as it was found."""
    if isinstance(program, ModuleType):
        made = make_program(vars(program), program.__name__, getattr(program, "__file__", None))
    else:
        made = make_program(program, "the namespace")
    with _suppress_output():
        return check_program(made)


def check_program(program: Program, report: Report | None = None) -> Checked:
    """Look for every bug."""
    results: list[tuple[Bug, CheckResult]] = []
    functions = functions_of(program.namespace, program.file).values()
    files = own_sources(program.file)
    with (
        recorded_calls(functions) as called,
        watch_evaluation_mode(files, program.evaluation_lines),
    ):
        for bug in BUGS:
            if report is not None:
                report(_result(program, results))
            results.append((bug, _look(bug, program)))
    result = _result(program, results)
    applied = {b.name for b in BUGS} - {n.bug for n in result.not_checked}
    return msgspec.structs.replace(result, not_covered=not_covered(program, called, applied))


def _result(program: Program, results: list[tuple[Bug, CheckResult]]) -> Checked:
    """Return what `results` come to; a bug without a result was not reached."""
    return Checked(
        program=program.name,
        bugs=[_entry(b, o) for b, o in results if isinstance(o, BugPresent)],
        remarks=[_entry(b, o) for b, o in results if isinstance(o, Remark)],
        checked=[
            b.name for b, o in results if not isinstance(o, BugPresent | Remark | Undetermined)
        ],
        not_checked=[
            NotChecked(b.name, o.reason, o.applies)
            for b, o in results
            if isinstance(o, Undetermined)
        ]
        + [NotChecked(b.name, NOT_REACHED) for b in BUGS[len(results) :]],
        ended=program.endings[0] if program.endings else "",
    )


def _look(bug: Bug, program: Program) -> CheckResult:
    with preserve_state(program.namespace, program.parts):
        seed_all()
        try:
            if bug.name in ABOUT_TOKENS and _has_no_tokens(program):
                return Undetermined("the network is given no token ids", applies=False)
            return bug.detect(program)
        except UndeterminedError as reason:
            return Undetermined(str(reason))
        except ENDINGS as ending:
            program.endings.append(f"the program ended itself ({format_exception(ending)})")
            return Undetermined(program.endings[-1])
        except Exception as problem:  # a program that nobody thought of must not end the check
            return Undetermined(f"looking for it failed with {format_exception(problem)}")


def _has_no_tokens(program: Program) -> bool:
    """Return whether steps could be watched, and token ids came to the network in none."""
    try:
        return not program.has("tokenizer") and program.run_probe_once(dry_run).has_no_tokens
    except UndeterminedError:
        return False


def _entry(bug: Bug, result: BugPresent | Remark) -> BugReport:
    fix = result.fix if isinstance(result, BugPresent) else ""
    return BugReport(bug.name, result.evidence, result.where, fix or bug.fix)


@contextmanager
def _arguments(spec: str, arguments: Sequence[str]) -> Iterator[None]:
    """Set `sys.argv` as the program would have it."""
    before = sys.argv
    sys.argv = [spec, *arguments]
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _suppress_output() -> Iterator[None]:
    """Silence what the program prints and warns of; nothing is compiled.

    The fast path of torch's encoder is off: its nested tensors have no shape to look at.
    """
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield from _run_quietly()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


def _run_quietly() -> Iterator[None]:
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        with torch.compiler.set_stance("force_eager"):
            yield
