"""The parts of a program that `training_loop` stopped: its step, batches and evaluation."""

from __future__ import annotations

import ast
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from descend.program_check.instrumentation.call_recorder import record_calls
from descend.program_check.instrumentation.token_ids import tokens_of
from descend.program_check.loop_evaluation import evaluations_of, mode_is_reset
from descend.program_check.loop_scope import make_runner, visible_names
from descend.program_check.loop_source import Loop, LoopSource, loops_around
from descend.program_check.program_failures import format_exception
from descend.program_check.results import UndeterminedError
from descend.program_check.training_loop import LoopStart, clear_gradients

COUNTER = "descend_loop_counter"
"""Name under which the number of passes through the loop is stored among the program's names."""

NUM_RECORDED, MIN_RECORDED = 16, 6
"""Batches that are read from what the network is given, where the loop goes through numbers: as
many as `RECORDED_FLOPS` pay for."""

RECORDED_FLOPS = 8e9
"""Floating-point operations of these steps: about two seconds on one core."""


MAX_BATCHES = 48
"""Batches that are read in advance from what cannot be begun anew."""

MAX_ITEMS = 4096
"""Items of a loop that are read in advance, where they are numbers or indices."""


def loop_parts(
    start: LoopStart, recognized: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the names that the loop can see, and the parts of the program that it makes.

    `recognized` holds the names that each part may bear in a program.
    """
    assert start.loop is not None
    names = visible_names(start.scopes, recognized)
    clear_gradients(start, names)
    loop = start.loop
    parts: dict[str, Any] = {}
    network = network_of(start, names.get("model"))
    if network is not None:
        parts["model"] = network
    if start.optimizer is not None:
        parts["optimizer"] = start.optimizer
    for number, evaluation in enumerate(evaluations_of(start, names, recognized), 1):
        parts["evaluate" if number == 1 else f"evaluate {number}"] = evaluation
    items = items_of(loop, names)
    step = _step_of(start, names, items, network, recognized)
    step.stands_at = (loop.file, start.line)
    parts["step"] = step
    parts |= _run_length(start, names, items, recognized)
    loader = next((names[n] for n in recognized["batches"]
                   if isinstance(names.get(n), DataLoader)), None)  # fmt: skip
    if items.are_batches:
        parts["batches"] = items.source
    elif loader is not None:
        parts["batches"] = loader
    elif network is not None and not start.reads_no_tokens(network):
        parts["batches"] = _recorded_batches(step, network)
        parts["batches"].stands_at = (loop.file, loop.loop.lineno)
    return names, parts


def network_of(start: LoopStart, named: Any) -> nn.Module | None:
    """Return the network that is trained: the outermost one with the optimizer's weights."""
    groups = start.optimizer.param_groups if start.optimizer is not None else []
    trained = {id(p) for g in groups for p in g["params"]}

    def shared(network: nn.Module) -> int:
        own = {id(p) for p in network.parameters()}
        return len(own & trained) if trained else len(own)

    candidates = [n for n in start.networks if any(True for _ in n.parameters())]
    if isinstance(named, nn.Module):
        is_called = any(named is n for n in candidates)
        best = max(map(shared, candidates), default=0)
        if (is_called or not candidates) and shared(named) >= best:
            return named
    if not candidates:
        return named if isinstance(named, nn.Module) else None
    with_table = [n for n in candidates if any(isinstance(m, nn.Embedding) for m in n.modules())]
    return max(with_table or candidates, key=shared)


@dataclass(frozen=True)
class LoopItems:
    """What a loop goes through."""

    source: Any = None
    """A loader, a list, or a function that makes an iterator; None of a `while` loop."""
    counter: str = ""
    """Name of the number that counts the items beside them, as `enumerate` does."""
    are_batches: bool = False
    """Whether the items hold token ids."""
    first: tuple[Any, ...] = ()
    """The first items, where they are no batches."""
    count: int | None = None
    """How many there are; None where that is not said."""


def items_of(loop: LoopSource, names: dict[str, Any]) -> LoopItems:
    """Read what a `for` loop goes through, without the functions that count and show a bar."""
    if not isinstance(loop.loop, ast.For):
        return LoopItems()
    expression, counter = loop.iterated()
    code = compile(ast.Expression(expression), loop.file, "eval")

    def source() -> Any:
        value = eval(code, names)
        inner = getattr(value, "iterable", None)
        return inner if inner is not None and type(value).__name__.startswith("tqdm") else value

    source.stands_at = (loop.file, loop.loop.lineno)  # type: ignore[attr-defined]
    try:
        value = source()
        first = _first_items(value)
    except Exception:
        return LoopItems(counter=counter)
    are_batches = bool(first) and tokens_of(first[0]) is not None
    if isinstance(value, Iterator):  # it cannot be gone through again
        return LoopItems(list(first), counter, are_batches, () if are_batches else first)
    count = _count(value)
    is_lasting = isinstance(value, DataLoader | list | tuple)
    if are_batches:
        return LoopItems(value if is_lasting else source, counter, are_batches=True, count=count)
    return LoopItems(source, counter, first=first, count=count)


def _count(value: Any) -> int | None:
    try:
        return len(value)
    except Exception:  # a loader of a stream has none, and what a program's own says is not known
        return None


def _first_items(value: Any) -> tuple[Any, ...]:
    """Return one batch, the first batches of what cannot be begun anew, or the first numbers."""
    items = iter(value)
    first = tuple(islice(items, 1))
    if first and tokens_of(first[0]) is None:
        return first + tuple(islice(items, MAX_ITEMS - 1))
    return first + tuple(islice(items, MAX_BATCHES - 1)) if items is value else first


def _step_of(
    start: LoopStart, names: dict[str, Any], items: LoopItems, network: nn.Module | None,
    recognized: Mapping[str, Sequence[str]],
) -> Any:  # fmt: skip
    loop = start.loop
    assert loop is not None
    run = make_runner(start.scopes[0], loop, loop.body_code(), names)
    bind = None
    if isinstance(loop.loop, ast.For):
        target = loop.loop.target
        if items.counter:
            assert isinstance(target, ast.Tuple)
            target = target.elts[1]
        assign = ast.Assign([target], ast.Name("__item__", ast.Load()))
        bind = loop.compile_statements([ast.copy_location(assign, loop.loop)])
    modules = list(network.modules()) if network is not None else []
    modes = {m: start.modes.get(m, m.training) for m in modules}
    resets = mode_is_reset(start, recognized)
    first_count = names.get(items.counter, -1)
    before_first = names[COUNTER] = first_count if isinstance(first_count, int) else -1

    finish = _finisher(start, names)

    def once(batch: Any = None) -> None:
        is_first = names[COUNTER] == before_first
        names[COUNTER] += 1
        if items.counter:
            names[items.counter] = names[COUNTER]
        if bind is not None and (items.are_batches or items.first):
            cycled = items.first[names[COUNTER] % len(items.first)] if items.first else batch
            names["__item__"] = cycled
            exec(bind, names)
        if resets:
            for module, mode in modes.items():
                module.training = mode
        try:
            run()
        except Exception as problem:
            if not is_first or _line_of(problem, loop) > start.line:
                raise
            finish()
            try:
                run()
            except Exception:
                raise UndeterminedError(
                    "a limit of the check, no fault of the program: the check begins the first "
                    "pass of the loop a second time, which the program does not allow "
                    f"({format_exception(problem)})"
                ) from problem

    return (lambda batch: once(batch)) if items.are_batches else (lambda: once())


def _finisher(start: LoopStart, names: dict[str, Any]) -> Callable[[], None]:
    """Return a function that carries out what follows, in the loop's body, the statement at which
    the program was stopped: there it may empty what it collects for one step.

    What that statement would have set is 0.
    """
    loop = start.loop
    assert loop is not None
    stopped = [s for s in loop.loop.body if s.lineno <= start.line <= (s.end_lineno or 0)]
    unset = {n.id for s in stopped for n in ast.walk(s)
             if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}  # fmt: skip
    rest = [s for s in loop.loop.body if s.lineno > start.line]
    runs = [make_runner(start.scopes[0], loop, loop.once_code([s]), names) for s in rest]

    def finish() -> None:
        names.update({name: torch.zeros(()) for name in unset})
        for run in runs:
            with suppress(Exception):  # what needs more than a 0
                run()

    return finish


def _line_of(problem: Exception, loop: LoopSource) -> int:
    """Return the line of the loop at which its body raised."""
    frames = traceback.extract_tb(problem.__traceback__)
    return next((f.lineno or 0 for f in frames if f.filename == loop.file), 0)


def _run_length(
    start: LoopStart, names: dict[str, Any], items: LoopItems,
    recognized: Mapping[str, Sequence[str]],
) -> dict[str, int]:  # fmt: skip
    """Return how often the loop around the loop runs (`num_epochs`), and how many passes through
    the loop the run has (`num_body_runs`), each where it is said."""
    assert start.loop is not None
    outer, own = start.loop if start.loop.outer is not None else None, names
    for number, scope in enumerate(start.scopes[1:], 1):
        around = [] if outer is not None else loops_around(scope.code.co_filename, scope.line)
        if around:
            outer, own = around[0], visible_names(start.scopes[number:], recognized)
    if outer is None:
        is_whole = items.count is not None and not _can_end_early(start.loop.loop)
        return {"num_body_runs": items.count} if is_whole and items.count is not None else {}
    outer_loop = outer.outer if outer is start.loop else outer.loop
    assert outer_loop is not None
    epochs = outer.count_of(outer_loop, own)
    if epochs is None:
        return {}
    can_end_early = _can_end_early(start.loop.loop) or _can_end_early(outer_loop)
    if items.count is None or can_end_early:
        return {"num_epochs": epochs}
    return {"num_epochs": epochs, "num_body_runs": epochs * items.count}


def _can_end_early(loop: Loop) -> bool:
    """Return whether a `break` or a `return` stands in a loop."""
    return any(isinstance(n, ast.Break | ast.Return) for s in loop.body for n in ast.walk(s))


def _recorded_batches(step: Callable[[], None], network: nn.Module) -> Any:
    """Return a function that runs the loop and hands out the ids that the network is given."""

    weights = sum(p.numel() for p in network.parameters())

    def batches() -> Iterator[torch.Tensor]:
        spent, never_learns = 0.0, False
        for number in range(NUM_RECORDED):
            if number >= MIN_RECORDED and spent > RECORDED_FLOPS:
                return
            with record_calls(network) as recorder:
                step()
            calls = [c for c in recorder.model_calls if c.ids_BT.ndim == 2]
            learned = [c.ids_BT for c in calls if c.learned_from]
            never_learns = not learned if number == 0 else never_learns
            # Where none comes back even from the first, all that the network is given counts.
            ids = [c.ids_BT for c in calls] if never_learns else learned
            if not ids:
                return
            spent += 6.0 * weights * ids[0].numel()
            yield ids[0]

    return batches
