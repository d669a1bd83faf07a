"""How the functions of somebody's program are called, whatever they name their arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from descend.program_check.program import Program
from descend.program_check.program_failures import ENDINGS, format_exception
from descend.program_check.results import UndeterminedError

GUESSES: tuple[tuple[tuple[str, ...], Any], ...] = (
    (("split", "mode", "subset"), "train"),
    (("seed", "epoch", "rank", "step", "iter", "it", "i"), 0),
    (("device",), "cpu"),
)
"""For arguments without default that a program gives no value for: parts of the name, value."""

A_NUMBER = 32
"""For any other number that a function of batches wants: how many, how long."""


DATA = (Tensor, tuple, list, dict)
"""A global of such a kind may be what is left of a loop: an argument of its name is filled anew."""


def call_part(program: Program, part: str, /, *things: Any, **more: Any) -> Any:
    """Call the function `part`: arguments by the names of the program's own, the rest are `things`.

    A single pair or dictionary is spread over arguments where the function has room for it.
    `UndeterminedError` when it raises or asks for something unknown.
    """
    function = program.get(part)
    try:
        args, kwargs = arguments(program, part, function, things, more)
        return function(*args, **kwargs)
    except UndeterminedError:
        raise
    except ENDINGS as ending:
        words = f"`{part}` ended the program ({format_exception(ending)})"
        program.endings.append(words)
        raise UndeterminedError(words) from ending
    except Exception as problem:
        raise UndeterminedError(f"`{part}` raised {format_exception(problem)}") from problem


def arguments(
    program: Program, part: str, function: Callable[..., Any], things: tuple[Any, ...],
    more: Mapping[str, Any] = {},
) -> tuple[list[Any], dict[str, Any]]:  # fmt: skip
    """Return what to call `function` with."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return list(things), {}
    known = {**program.namespace, **program.parts, **more}
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    open_ones = [
        p for p in named
        if p.default is p.empty and isinstance(known.get(p.name, ()), DATA)
    ]  # fmt: skip
    if not open_ones and things:  # `step(batch=None)`: give it what it would else fetch
        open_ones = [p for p in named if p.name not in known or p.name == "batch"][:1]
    filled = fill_arguments([p.name for p in open_ones], things, part, known)
    values = {p.name: filled.get(p.name, known.get(p.name)) for p in named
              if p.name in filled or (p.default is p.empty and p.name in known)}  # fmt: skip
    args = [values.pop(p.name) for p in named if p.kind is p.POSITIONAL_ONLY and p.name in values]
    if not named and any(p.kind is p.VAR_POSITIONAL for p in parameters):
        args = list(things)
    return args, values


def fill_arguments(
    names: list[str], things: tuple[Any, ...], part: str, known: Mapping[str, Any]
) -> dict[str, Any]:
    """Return `things` for the arguments `names`."""
    if len(things) == 1 and len(names) > 1:
        thing = things[0]
        if isinstance(thing, Mapping) and set(names) <= set(thing):
            return {name: thing[name] for name in names}
        if isinstance(thing, tuple | list) and len(thing) == len(names):
            return dict(zip(names, thing, strict=True))
    filled = dict(zip(names, things, strict=False))
    for name in names[len(filled) :]:
        if name in known:
            filled[name] = known[name]
        elif part == "batches":
            filled[name] = guess_argument(name)
        else:
            raise UndeterminedError(f"`{part}` wants `{name}`, which the module does not have")
    return filled


def guess_argument(name: str) -> Any:
    """Return a value for an argument of a function of batches."""
    for names, value in GUESSES:
        if name.lower() in names or any(w in name.lower() for w in names if len(w) > 3):
            return value
    return A_NUMBER
