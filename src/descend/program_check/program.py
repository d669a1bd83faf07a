"""Somebody's training program: what it is made of, and how its parts are called.

A program is a Python module with a `model` and, where it has them, the parts of `PARTS`. Nothing
is required of it that such programs do not have anyway; docs/check.md lists the conventions.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import random
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from descend.program_check.bug_report import ProgramError
from descend.program_check.evaluators import evaluator_beside
from descend.program_check.frameworks import (
    Launch,
    TrainingReachedError,
    framework_parts,
    training_stopped,
)
from descend.program_check.instrumentation.amp_usage import watch_amp
from descend.program_check.instrumentation.checkpoint_loads import (
    CheckpointLoads,
    watch_checkpoint_loads,
)
from descend.program_check.instrumentation.function_calls import (
    FunctionLine,
    recorded_load_calls,
)
from descend.program_check.instrumentation.import_time_training import (
    ImportTimeTraining,
    watch_optimizer_steps,
)
from descend.program_check.instrumentation.lines_run import FileLine
from descend.program_check.instrumentation.object_graph import reachable_objects
from descend.program_check.instrumentation.state_guard import preserve_state
from descend.program_check.loop_program import loop_parts
from descend.program_check.program_failures import ENDINGS, format_exception, import_error
from descend.program_check.program_path import find_program_file
from descend.program_check.results import UndeterminedError
from descend.program_check.source_lines import (
    assignment_line,
    attention_lines,
    calls_eval,
    cut_line,
    definition_line,
    use_line,
    weight_line,
)
from descend.program_check.training_loop import LoopStart, ScopeFrame, stopped_at_loop
from descend.units import list_names

T = TypeVar("T")

SEED = 20_240_229
"""Every probe starts from these random numbers, so that a check says the same twice."""

RECOGNIZED_NAMES: dict[str, tuple[str, ...]] = {
    "model": ("model",),
    "loss": ("loss", "compute_loss"),
    "optimizer": ("optimizer", "optimizers"),
    "step": ("step", "train_step", "training_step"),
    "batches": ("batches", "train_loader", "train_batches", "get_batch", "train_dataloader"),
    "tokenizer": ("tokenizer",),
    "scheduler": ("scheduler", "lr_scheduler"),
    "evaluate": ("evaluate", "validate", "estimate_loss", "evaluation", "eval_loss", "eval_step"),
    "save": ("save", "save_checkpoint"),
    "load": ("load", "load_weights"),
    "resume": ("resume", "load_checkpoint"),
    "after_epoch": ("after_epoch",),
    "checkpoint": ("checkpoint",),
    "text": ("text",),
    "pad_id": ("pad_id", "pad_token_id"),
    "total_steps": ("total_steps", "max_steps"),
}
"""What is looked for in a module, by the names it may bear there; the first one found counts."""


FUNCTIONS = {"loss", "step", "evaluate", "save", "load", "resume", "after_epoch"}
"""Of these, the ones that must be functions: a number called `step` is a counter."""


def describe_missing(part: str) -> str:
    """Return that no part goes by the names it is known by; one of another form may be there."""
    *others, last = (f"`{name}`" for name in RECOGNIZED_NAMES[part])
    names = f"{', '.join(others)} or {last}" if others else last
    return f"no {'function' if part in FUNCTIONS else 'object'} is named {names}"


@dataclass(frozen=True)
class Program:
    """What was found in a module. Probes are cached: each is carried out once a check."""

    name: str
    parts: Mapping[str, Any]
    namespace: Mapping[str, Any]
    file: str | None = None
    loads: CheckpointLoads | None = None
    """What it loaded while it was imported; None if that was not seen."""
    import_time_training: ImportTimeTraining = field(default_factory=ImportTimeTraining)
    """The steps it made while it was imported."""
    load_calls: Set[FunctionLine] = frozenset()
    """Its functions that ran while it was imported, up to its first step."""
    scopes: tuple[ScopeFrame, ...] = ()
    """Its functions, or its module, that were running when its loop was stopped."""
    evaluation_lines: set[FileLine] = field(default_factory=set)
    """Its lines that set evaluation mode while it was tried."""
    endings: list[str] = field(default_factory=list)
    """Where it ended itself while it was tried, if it did."""
    _probes: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def model(self) -> nn.Module:
        """The network."""
        return cast(nn.Module, self.parts["model"])

    def has(self, part: str) -> bool:
        """Return whether the program has this part."""
        return self.parts.get(part) is not None

    def get(self, part: str) -> Any:
        """Return a part of the program; `UndeterminedError` without it."""
        if not self.has(part):
            raise UndeterminedError(describe_missing(part))
        return self.parts[part]

    def all_of(self, kind: type[T]) -> tuple[T, ...]:
        """Return every object of `kind` that the program can get at, wherever it keeps it."""
        return tuple(
            v for v in reachable_objects(self.namespace, self.parts) if isinstance(v, kind)
        )

    @property
    def trained_while_imported(self) -> bool:
        """Whether an optimizer was stepped before anything could be tried."""
        return self.import_time_training.steps > 0

    @property
    def optimizers(self) -> tuple[Optimizer, ...]:
        """All torch optimizers of the program."""
        return self.all_of(Optimizer)

    def source_location(self, part: str) -> str:
        """Return file and line where a part was written, as exactly as Python knows."""
        value = self.parts.get(part)
        target = type(value) if isinstance(value, nn.Module) else value
        defined = definition_line(target)
        if defined is not None and hasattr(target, "stands_at"):  # a line and no function
            return f"{_short(defined[0])}:{defined[1]}"
        if defined is not None:
            return f"{_short(defined[0])}:{defined[1]} (`{part}`)"
        names = [n for n, v in self.namespace.items() if v is value and value is not None]
        line = assignment_line(self.file, (*RECOGNIZED_NAMES.get(part, ()), *names, "trainer"))
        return f"{_short(self.file or self.name)}{f':{line}' if line else ''} (`{part}`)"

    def where_is_weight(self, name: str, is_cut_off: bool = False) -> str:
        """Return the name of a weight, and the line that makes it, or else that cuts it off."""
        made = (cut_line(self.model, name) if is_cut_off else None) or weight_line(self.model, name)
        return f"model.{name}" + (f" ({_short(made[0])}:{made[1]})" if made else "")

    def where_is_side_weight(self, name: str, is_cut_off: bool = False) -> str:
        """Return the same for a weight of another network, whose name stands first in `name`."""
        first, _, rest = name.partition(".")
        other = self.namespace.get(first)
        if not isinstance(other, nn.Module):
            return self.where_is_line(assignment_line(self.file, (first,)))
        made = (cut_line(other, rest) if is_cut_off else None) or weight_line(other, rest)
        return name + (f" ({_short(made[0])}:{made[1]})" if made else "")

    def where_is_use(self, name: str) -> str:
        """Return the name of a weight, and the last line of its class that uses it."""
        used = use_line(self.model, name)
        return f"model.{name}" + (f" ({_short(used[0])}:{used[1]})" if used else "")

    def where_is_attention(self, names: Sequence[str], forward: Callable[[], Any]) -> str:
        """Parts of the network, and the lines of their attention where they can be seen."""
        lines = attention_lines(self.file, forward)
        if not names:
            return self.source_location("model")
        at = list_names([f"{_short(self.file or '')}:{line}" for line in lines])
        return list_names([f"model.{name}" for name in names]) + (f" ({at})" if at else "")

    def where_is_line(self, line: int | None) -> str:
        """Return a line of the program's file; the file alone if none is known."""
        return f"{_short(self.file or self.name)}{f':{line}' if line else ''}"

    def run_probe_once(self, probe: Callable[[Program], T]) -> T:
        """Return the result of `probe`, from a fixed seed, with the program put back afterwards."""
        if probe not in self._probes:
            with preserve_state(self.namespace, self.parts), torch.enable_grad():
                seed_all()
                try:
                    self._probes[probe] = probe(self)
                except UndeterminedError as reason:
                    self._probes[probe] = reason
                except ENDINGS as ending:
                    self.endings.append(f"the program ended itself ({format_exception(ending)})")
                    self._probes[probe] = UndeterminedError(self.endings[-1])
                except Exception as problem:
                    self._probes[probe] = UndeterminedError(
                        f"it failed with {format_exception(problem)}"
                    )
        result = self._probes[probe]
        if isinstance(result, UndeterminedError):
            raise UndeterminedError(*result.args)
        return cast(T, result)


def seed_all() -> None:
    """Set all random numbers that a program is likely to draw."""
    random.seed(SEED)
    np.random.seed(SEED % 2**32)
    torch.manual_seed(SEED)


def make_program(
    namespace: Mapping[str, Any],
    name: str,
    file: str | None = None,
    loads: CheckpointLoads | None = None,
    training: ImportTimeTraining | None = None,
    launch: Launch | None = None,
    start: LoopStart | None = None,
) -> Program:
    """Return the program that stands in `namespace`; `ProgramError` without a model."""
    parts: dict[str, Any] = {}
    of_loop: dict[str, Any] = {}
    if start is not None and start.loop is not None:
        namespace, of_loop = loop_parts(start, RECOGNIZED_NAMES)
    for part, names in RECOGNIZED_NAMES.items():
        value = next((namespace[n] for n in names if namespace.get(n) is not None), None)
        if value is None or isinstance(value, ModuleType):
            continue
        if part not in FUNCTIONS or (callable(value) and not isinstance(value, nn.Module)):
            parts[part] = value
    if of_loop:  # a function called `step` may be a part of what the loop does
        if "step" in parts and start is not None and start.is_whole_step(parts["step"]):
            of_loop["step"].defined_as = parts["step"]
            del of_loop["step"].stands_at
        parts.pop("loss", None)
        if not calls_eval(parts.get("evaluate")):  # its mode is set by who calls it
            parts.pop("evaluate", None)
        parts |= of_loop
    more = {} if of_loop else framework_parts(namespace, launch)
    if "step" in parts and not of_loop and "evaluate" not in parts:
        parts["evaluate"] = evaluator_beside(
            getattr(parts["step"], "__name__", ""), namespace, file
        )
    if "step" in parts:  # its own loop decides on optimizers and schedules
        parts = {k: more[k] for k in ("model", "batches", "loss") if k in more} | parts
    else:
        parts |= more
    if not isinstance(parts.get("model"), nn.Module):
        actual = type(parts["model"]).__name__ if "model" in parts else "no `model`"
        raise ProgramError(
            name, actual, "a torch.nn.Module under the name `model`",
            "bind the network that you train to the name `model` in that module",
        )  # fmt: skip
    scopes = start.scopes if start is not None else ()
    training = training or ImportTimeTraining()
    return Program(name, parts, namespace, file, loads, training, scopes=scopes)


def load_program(spec: str) -> Program:
    """Import the module `spec`, a dotted name or a path to a .py file. This executes it."""
    path = find_program_file(spec)
    folder = str(path.resolve().parent if path else Path.cwd())
    added = folder not in sys.path
    if added:
        sys.path.insert(0, folder)
    try:
        own = path.resolve() if path else None
        with (
            watch_checkpoint_loads() as loads,
            watch_amp(),
            watch_optimizer_steps(own) as training,
            training_stopped(own) as launch,
            stopped_at_loop() as start,
            recorded_load_calls(path) as calls,
        ):
            module = _import_file(path) if path else importlib.import_module(spec)
            if own and _trains_in_main(own, module, launch, start):
                _run_main(own, module)
    except (Exception, *ENDINGS) as problem:
        raise import_error(spec, problem) from problem
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)
    start.close()
    if start.loop is not None:
        training = ImportTimeTraining()
    program = make_program(vars(module), spec, module.__file__, loads, training, launch, start)
    return replace(program, load_calls=calls)


def _trains_in_main(file: Path, module: ModuleType, launch: Launch, start: LoopStart) -> bool:
    """Return whether only `if __name__ == "__main__"` can say what is trained, and how."""
    names = vars(module)
    if launch.trainer is not None or start.loop is not None or "__main__" not in _source_of(file):
        return False
    has_model = isinstance(names.get("model"), nn.Module)
    if has_model and any(inspect.isfunction(names.get(n)) for n in RECOGNIZED_NAMES["step"]):
        return False
    return not framework_parts(names, launch)


def _source_of(file: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return file.read_text(encoding="utf-8")
    return ""


def _run_main(file: Path, module: ModuleType) -> None:
    """Run the file as `python FILE` would, up to where the framework is to train."""
    code = compile(_source_of(file), str(file), "exec")
    names = vars(module)
    name, names["__name__"] = names["__name__"], "__main__"
    try:
        exec(code, names)
    except TrainingReachedError:
        return
    finally:
        names["__name__"] = name


def _import_file(path: Path) -> ModuleType:
    name = f"_checked_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up there
    try:
        spec.loader.exec_module(module)
    except TrainingReachedError:
        return module
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _short(file: str) -> str:
    with suppress(ValueError):
        return str(Path(file).resolve().relative_to(Path.cwd()))
    return file
