"""Where in a program's own source something stands."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

ATTENTION = {F.scaled_dot_product_attention, F.softmax, torch.softmax, torch.Tensor.softmax,
             F.multi_head_attention_forward}  # fmt: skip
"""Functions of torch that turn scores into weights."""


def is_own_file(file: str | None) -> bool:
    """Return whether `file` is somebody's program, and not installed or part of descend."""
    return bool(file) and "site-packages" not in str(file) and not (
        Path(str(file)).is_relative_to(Path(__file__).parents[2])
    )  # fmt: skip


def own_sources(file: str | None) -> dict[str, ast.Module]:
    """Return the parsed files of a program: its own, and those that it imports from its folder."""
    folder = Path(file or "").resolve().parent
    files = {file} if file else set[str]()
    for module in list(sys.modules.values()):
        is_checked = getattr(module, "__name__", "").startswith("_checked_")  # maybe another one
        name = None if is_checked else getattr(module, "__file__", None)
        if isinstance(name, str) and is_own_file(name) and Path(name).is_relative_to(folder):
            files.add(name)
    trees = {}
    for name in sorted(files):
        with suppress(OSError, SyntaxError, ValueError):
            trees[name] = ast.parse(Path(name).read_text(encoding="utf-8"))
    return trees


def definition_line(target: Any) -> tuple[str, int] | None:
    """Return file and line where a function or class of the program's own is defined."""
    line: tuple[str, int] | None = getattr(target, "stands_at", None)
    if line is not None:
        return line
    if isinstance(target, type):
        source = class_source(target)
        return None if source is None else source[:2]
    with suppress(TypeError, OSError, ValueError):
        target = inspect.unwrap(getattr(target, "defined_as", target))
        file = inspect.getsourcefile(target)
        if file is not None and is_own_file(file):
            return file, inspect.getsourcelines(target)[1]
    return None


def calls_eval(function: Any) -> bool:
    """Return whether the source of a function calls `.eval()`."""
    with suppress(TypeError, OSError):
        return ".eval()" in inspect.getsource(inspect.unwrap(function))
    return False


def class_source(target: type) -> tuple[str, int, list[str]] | None:
    """Return file, first line, and lines of a class of the program's own, by its methods: a class
    of a file that was run as `__main__` has no module to look it up in."""
    for member in vars(target).values():
        code = getattr(inspect.unwrap(member) if callable(member) else member, "__code__", None)
        if code is None or not is_own_file(code.co_filename):
            continue
        with suppress(OSError, SyntaxError, ValueError):
            text = Path(code.co_filename).read_text(encoding="utf-8")
            classes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ClassDef)
                       and n.name == target.__name__
                       and n.lineno <= code.co_firstlineno <= (n.end_lineno or 0)]  # fmt: skip
            if classes:
                first, last = classes[-1].lineno, classes[-1].end_lineno
                return code.co_filename, first, text.splitlines()[first - 1 : last]
    return None


def assignment_line(file: str | None, names: Sequence[str]) -> int | None:
    """Return the line of the last assignment to one of `names`, else of a call of some `…Trainer`,
    else of an assignment to an attribute of such a name."""
    try:
        tree = ast.parse(Path(file or "").read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    lines = [
        node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assign)
        for target in node.targets for name in ast.walk(target)
        if isinstance(name, ast.Name) and name.id in names
    ]  # fmt: skip
    lines = lines or [
        node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("Trainer")
    ] or [
        node.lineno for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        and node.attr in names
    ]  # fmt: skip
    return max(lines, default=None)


def own_classes_around(model: nn.Module, name: str) -> Iterator[tuple[str, str, int, list[str]]]:
    """Yield the classes with a source that hold a weight, the nearest first: the attribute that
    leads to the weight, then file, first line, and lines of the class."""
    path = name.split(".")
    for depth in range(len(path) - 1, -1, -1):
        source = class_source(type(model.get_submodule(".".join(path[:depth]))))
        if source is not None:
            yield path[depth], *source


def weight_line(model: nn.Module, name: str) -> tuple[str, int] | None:
    """Return file and line where the class that holds a weight, or the nearest own one, makes
    it."""
    for attribute, file, start, lines in own_classes_around(model, name):
        for number, line in enumerate(lines):
            left = line.partition("=")[0]
            if f"self.{attribute}" in left.replace(" ", "").split(",") and "=" in line:
                return file, start + number
        return file, start
    return None


def use_line(model: nn.Module, name: str) -> tuple[str, int] | None:
    """Return file and line that uses a weight's attribute last in the class that makes it."""
    made = weight_line(model, name)
    for attribute, file, start, lines in own_classes_around(model, name):
        uses = [start + n for n, line in enumerate(lines) if f"self.{attribute}" in line]
        if uses:
            return file, uses[-1]
    return made


CUTS = re.compile(r"no_grad\(|inference_mode\(|\.detach\(|set_grad_enabled\(|\.data\b")
"""What keeps a gradient from coming to a weight."""


def cut_line(model: nn.Module, name: str) -> tuple[str, int] | None:
    """Return file and line, in the class that holds a weight or one around it, that cuts gradients
    off."""
    for _, file, start, lines in own_classes_around(model, name):
        for number, line in enumerate(lines):
            if CUTS.search(line.partition("#")[0]):
                return file, start + number
    return None


def attention_lines(file: str | None, forward: Callable[[], Any]) -> list[int]:
    """Return lines of `file` that turn scores of attention into weights while `forward` runs."""
    if file is None:
        return []
    follow = _CallsOf(ATTENTION, file)
    with suppress(Exception), follow, torch.no_grad():
        forward()
    return sorted(set(follow.lines))


SOFTMAXES = {F.softmax, torch.softmax, torch.Tensor.softmax}


def last_softmax_line(file: str | None, forward: Callable[[], Any]) -> int | None:
    """Return the line of `file` that calls a softmax last while `forward` runs."""
    if file is None:
        return None
    follow = _CallsOf(SOFTMAXES, file)
    with suppress(Exception), follow, torch.no_grad():
        forward()
    return follow.lines[-1] if follow.lines else None


def mention_line(function: Any, word: str) -> int | None:
    """Return the last line of a function of the program's own that mentions a word."""
    if definition_line(function) is None:
        return None
    with suppress(OSError, TypeError):
        lines, start = inspect.getsourcelines(inspect.unwrap(function))
        line_numbers = [start + n for n, line in enumerate(lines) if word in line.partition("#")[0]]
        return line_numbers[-1] if line_numbers else None
    return None


LOSSES = {F.cross_entropy, F.nll_loss, F.binary_cross_entropy, F.binary_cross_entropy_with_logits,
          F.kl_div}  # fmt: skip


def loss_lines(file: str | None, step: Callable[[], Any]) -> list[int]:
    """Return lines of `file` that compute a loss by a function of torch while `step` runs."""
    if file is None:
        return []
    follow = _CallsOf(LOSSES, file)
    with suppress(Exception), follow:
        step()
    return sorted(set(follow.lines))


def call_line(file: str | None, name: str) -> int | None:
    """Return the line of the first call in `file` of a function whose name begins with `name`."""
    try:
        tree = ast.parse(Path(file or "").read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    lines = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Call)
             and ast.unparse(n.func).rpartition(".")[2].startswith(name)]  # fmt: skip
    return min(lines, default=None)


class _CallsOf(TorchFunctionMode):
    """Note the lines of a file that call some functions of torch."""

    def __init__(self, functions: Set[Any], file: str) -> None:
        super().__init__()
        self.functions = functions
        self.file = Path(file).resolve()
        self.lines: list[int] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self.functions:
            line = running_line(self.file)
            if line is not None:
                self.lines.append(line)
        return func(*args, **(kwargs or {}))


def running_line(file: Path) -> int | None:
    """Return the line of `file`, a resolved path, that is being carried out."""
    frame = sys._getframe(1)
    while frame is not None:
        with suppress(OSError):
            if Path(frame.f_code.co_filename).resolve() == file:
                return frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    return None
