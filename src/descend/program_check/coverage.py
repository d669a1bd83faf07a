"""What no check of a program looks at, said beside what was looked for."""

from __future__ import annotations

from collections.abc import Set

from descend.program_check.instrumentation.function_calls import (
    FunctionLine,
    function_line,
    functions_of,
)
from descend.program_check.program import Program
from descend.units import list_names

ALWAYS = (
    "text generation: sampling, stopping, caches",
    "what the evaluation computes, and on which data: only the mode of the network is looked at",
    "whether each input has its own target, unless two shuffles in the source part them",
    "distributed training, compiled code, and what needs a GPU",
)
"""Parts of a training program that none of the checks is about."""

RESUME = "a resume: no save and load of the program was exercised"
TOKENIZER = "how the text became tokens: there is no tokenizer to ask"

MAX_NAMES = 12


def not_covered(program: Program, called: Set[FunctionLine], applied: Set[str]) -> list[str]:
    """Return what stays unseen, given the functions that were `called` and the checks that
    applied."""
    missing = list(ALWAYS)
    if not applied & {"optimizer_state_not_resumed", "checkpoint_not_loaded"}:
        missing.append(RESUME)
    if "tokenizer_mismatch" not in applied:
        missing.append(TOKENIZER)
    idle = [f"{name} (line {code.co_firstlineno})"
            for name, code in functions_of(program.namespace, program.file).items()
            if function_line(code) not in called | program.load_calls]  # fmt: skip
    if idle:
        missing.append("functions that did not run: " + list_names(idle, MAX_NAMES))
    return missing
