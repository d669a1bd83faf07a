"""The source of a training loop: the innermost loop around a line, and what stands around it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Set
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any

Loop = ast.For | ast.While
Function = ast.FunctionDef | ast.AsyncFunctionDef

EVALUATES = re.compile(r"\.eval\(|\w*(eval|valid|estimate)\w*\(|(?<![a-z])test\w*\(", re.IGNORECASE)
"""Calls that evaluate a network."""
VALIDATION_WORDS = re.compile(
    r"(?<![a-z])(val|valid|validation|test|dev|held_?out|eval)(?![a-z])", re.IGNORECASE
)
"""Names of what is not trained on."""
WITHOUT_GRADIENT = re.compile(r"no_grad|inference_mode")

PROGRESS = ("tqdm", "trange", "track", "auto", "progress")
"""Functions that hand a loop's items through and show a bar."""

RETURN = "__loop_return__"
"""Name of the exception that stands for a `return` in a loop's body."""


@dataclass(frozen=True, kw_only=True)
class ScopeSource:
    """A scope of a program: a function, or the module."""

    file: str
    scope: ast.AST
    class_name: str = ""

    def compile_statements(self, statements: list[ast.stmt]) -> CodeType:
        """Code of statements that run at the level of a module, with the lines of the file."""
        tree = ast.parse("")
        mover = _AtModuleLevel(self.class_name, _first_parameter(self.scope))
        tree.body = [mover.visit(deepcopy(s)) for s in statements]
        return compile(ast.fix_missing_locations(tree), self.file, "exec")

    def call_with_modes(self, name: str, setters: Set[str] = frozenset()) -> CodeType | None:
        """Return the first call of a function in this scope, and the calls of `.eval()`, `.train()`
        and `setters` before and after it, in the blocks that hold it; None without such a call."""
        blocks = _blocks_to_call(list(getattr(self.scope, "body", ())), name)
        if blocks is None:
            return None
        call, *_ = blocks[-1]
        assert isinstance(call, ast.Expr)
        modes = [s for block in blocks[:-1] for s in block
                 if _sets_mode(s) or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Call)
                 and ast.unparse(s.value.func).rpartition(".")[2] in setters)]  # fmt: skip
        before = sorted((s for s in modes if s.lineno < call.lineno), key=lambda s: s.lineno)
        after = sorted((s for s in modes if s.lineno > call.lineno), key=lambda s: s.lineno)
        guarded = [[_if_network(s) if _sets_mode(s) else s for s in p] for p in (before, after)]
        return self.compile_statements([*guarded[0], call, *guarded[1]])


@dataclass(frozen=True, kw_only=True)
class LoopSource(ScopeSource):
    """A loop of one scope, outermost nodes first in `path`."""

    loop: Loop
    path: tuple[ast.AST, ...]
    """The statements around the loop, from its scope inward; without the loop itself."""

    @property
    def outer(self) -> Loop | None:
        """The next loop around it in the same scope."""
        return next((n for n in reversed(self.path) if isinstance(n, Loop)), None)

    def contains(self, line: int) -> bool:
        """Return whether a line is in the loop's body."""
        return self.loop.body[0].lineno <= line <= (self.loop.body[-1].end_lineno or 0)

    def body_code(self) -> CodeType:
        """Return the code of one pass through the body, in the `with` blocks around the loop."""
        body: list[ast.stmt] = [_once(self.loop.body, self.loop)]
        for node in reversed(self.path):
            if isinstance(node, ast.With):
                body = [ast.copy_location(ast.With(node.items, body, None), node)]
        return self.compile_statements(body)

    def rest_code(self) -> CodeType | None:
        """Return what follows in the loop around it, where that evaluates; None where nothing
        does."""
        outer = self.outer
        return None if outer is None else self._evaluation_after(outer, self.loop.end_lineno or 0)

    def code_after(self, line: int) -> CodeType | None:
        """Return what follows a line of the loop's body, where that evaluates.

        What the statement of that line would have set is 0: it is not carried out.
        """
        return self._evaluation_after(self.loop, line)

    def _evaluation_after(self, loop: Loop, line: int) -> CodeType | None:
        rest = [s for s in loop.body if s.lineno > line]
        text = "\n".join(map(ast.unparse, rest))
        if not (EVALUATES.search(text) or WITHOUT_GRADIENT.search(text)):
            return None
        unset = {n.id for s in loop.body if s.lineno <= line <= (s.end_lineno or 0)
                 and isinstance(s, ast.Assign) for t in s.targets for n in ast.walk(t)
                 if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}  # fmt: skip
        zeros = [ast.copy_location(s, loop) for s in ast.parse(
            "\n".join(f"{name} = 0.0" for name in sorted(unset))).body]  # fmt: skip
        return self.compile_statements([*zeros, _once(rest, loop)])

    def evaluation_block(self) -> tuple[CodeType, int] | None:
        """Return the block under an `if` of the loop that evaluates, and its line; None without
        any."""
        for block in _blocks_under_if(self.loop.body):
            text = "\n".join(map(ast.unparse, block))
            says_so = EVALUATES.search(text) or VALIDATION_WORDS.search(text)
            if any(_sets_mode(s, "eval") for s in block) or (
                WITHOUT_GRADIENT.search(text) and says_so
            ):
                return self.once_code(block), block[0].lineno
        return None

    def once_code(self, block: list[ast.stmt]) -> CodeType:
        """Return the code of statements of the loop's body, which may end the pass."""
        return self.compile_statements([_once(block, self.loop)])

    def trains_itself(self, function: str) -> bool:
        """Return whether the loop's body, without what it calls, clears gradients, or makes a step
        or a backward pass: then `function`, which it calls, is a part of a step alone."""
        return any(
            isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
            and n.func.attr in ("zero_grad", "backward", "step") and n.func.attr != function
            for s in self.loop.body for n in ast.walk(s)
        )  # fmt: skip

    def count_of(self, loop: Loop, names: Mapping[str, Any]) -> int | None:
        """Return how often a loop over a `range` of this scope runs, where `names` can tell."""
        if not isinstance(loop, ast.For):
            return None
        expression: ast.expr = loop.iter
        while isinstance(expression, ast.Call) and expression.args:
            name = ast.unparse(expression.func).rpartition(".")[2]
            if name in ("range", "trange"):
                break
            if name not in (*PROGRESS, "enumerate"):
                return None
            expression = expression.args[0]
        else:
            return None
        mover = _AtModuleLevel(self.class_name, _first_parameter(self.scope))
        call = ast.Call(ast.Name("range", ast.Load()), deepcopy(expression.args), [])
        counted = ast.fix_missing_locations(ast.Expression(mover.visit(call)))
        try:
            return len(eval(compile(counted, self.file, "eval"), dict(names)))
        except Exception:  # what a program's own names do is not known
            return None

    def iterated(self) -> tuple[ast.expr, str]:
        """Return the expression whose items are batches, and the name of a counter beside them.

        `enumerate(tqdm(loader))` gives `loader` and the counter's name.
        """
        assert isinstance(self.loop, ast.For)
        expression, counter = self._assigned(self.loop.iter), ""
        while isinstance(expression, ast.Call) and expression.args:
            name = ast.unparse(expression.func).rpartition(".")[2]
            if name == "enumerate" and not counter:
                target = self.loop.target
                if not (isinstance(target, ast.Tuple) and len(target.elts) == 2
                        and isinstance(target.elts[0], ast.Name)):  # fmt: skip
                    break
                counter = target.elts[0].id
            elif name not in (*PROGRESS, "iter"):
                break
            expression = self._assigned(expression.args[0])
        # A private name, such as `self.__loader`, has another outside its class.
        mover = _AtModuleLevel(self.class_name, _first_parameter(self.scope))
        outside: ast.expr = mover.visit(deepcopy(expression))
        return outside, counter

    def _assigned(self, expression: ast.expr) -> ast.expr:
        """Return what a name stands for that only hands items through, such as `bar =
        tqdm(loader)`."""
        if not isinstance(expression, ast.Name):
            return expression
        names = [n for n in ast.walk(self.scope) if isinstance(n, ast.Name)
                 and n.id == expression.id and isinstance(n.ctx, ast.Store)]  # fmt: skip
        values = [n.value for n in ast.walk(self.scope) if isinstance(n, ast.Assign)
                  and [ast.unparse(t) for t in n.targets] == [expression.id]]  # fmt: skip
        if len(names) != 1 or len(values) != 1 or not isinstance(values[0], ast.Call):
            return expression
        called = ast.unparse(values[0].func).rpartition(".")[2]
        return values[0] if called in ("enumerate", "iter", *PROGRESS) else expression


def _first_parameter(scope: ast.AST) -> str:
    """Return the name of the first parameter of a function, such as `self`; empty without one."""
    if not isinstance(scope, ast.FunctionDef):
        return ""
    parameters = [*scope.args.posonlyargs, *scope.args.args]
    return parameters[0].arg if parameters else ""


def _once(body: list[ast.stmt], place: ast.stmt) -> ast.stmt:
    once = ast.parse("for _ in (0,):\n    pass").body[0]
    assert isinstance(once, ast.For)
    once.body = body
    once.target = ast.Name("__once__", ast.Store())
    return ast.copy_location(once, place)


class _AtModuleLevel(ast.NodeTransformer):
    """Turn what only a function may hold into what a module may hold."""

    def __init__(self, class_name: str, first_parameter: str) -> None:
        self.class_name = class_name.lstrip("_")
        self.first_parameter = first_parameter

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        return ast.copy_location(ast.Raise(ast.Name(RETURN, ast.Load()), None), node)

    def visit_Yield(self, node: ast.Yield) -> ast.AST:
        return self.generic_visit(node.value or ast.Constant(None))

    def visit_YieldFrom(self, node: ast.YieldFrom) -> ast.AST:
        return self.generic_visit(ast.Tuple([ast.Starred(node.value, ast.Load())], ast.Load()))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        is_super = isinstance(node.func, ast.Name) and node.func.id == "super"
        if is_super and self.class_name and not node.args:
            names = ("__class__", self.first_parameter)
            node.args = [ast.Name(name, ast.Load()) for name in names]
        return self.generic_visit(node)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        return ast.copy_location(ast.Pass(), node)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        return ast.copy_location(ast.Pass(), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if self.class_name and node.attr.startswith("__") and not node.attr.endswith("__"):
            node.attr = f"_{self.class_name}{node.attr}"
        return self.generic_visit(node)


@lru_cache(maxsize=16)
def _parse(source: str) -> ast.Module:
    return ast.parse(source)


def loops_around(file: str, line: int) -> list[LoopSource]:
    """Return the loops of the innermost function whose bodies hold a line, innermost first.

    An `async` function has none: its body cannot run at the level of a module.
    """
    path = _path_in(file, line)
    functions = [n for n, x in enumerate(path) if isinstance(x, Function)]
    start = functions[-1] if functions else 0
    if not path or isinstance(path[start], ast.AsyncFunctionDef):
        return []
    classes = [x.name for x in path[:start] if isinstance(x, ast.ClassDef)]
    loops = [
        LoopSource(file=file, loop=node, path=tuple(path[start + 1 : index]), scope=path[start],
                   class_name=classes[-1] if classes else "")
        for index, node in enumerate(path) if index > start and isinstance(node, Loop)
    ]  # fmt: skip
    return [loop for loop in reversed(loops) if loop.contains(line)]


def scope_around(file: str, line: int) -> ScopeSource | None:
    """Return the innermost function around a line, or the module; None for an `async` one."""
    path = _path_in(file, line)
    functions = [n for n, x in enumerate(path) if isinstance(x, Function)]
    start = functions[-1] if functions else 0
    if not path or isinstance(path[start], ast.AsyncFunctionDef):
        return None
    classes = [x.name for x in path[:start] if isinstance(x, ast.ClassDef)]
    return ScopeSource(file=file, scope=path[start], class_name=classes[-1] if classes else "")


def _inner_blocks(statement: ast.stmt) -> list[list[ast.stmt]]:
    """Return the blocks of a statement that belong to the same scope."""
    if isinstance(statement, Function | ast.ClassDef):
        return []
    blocks = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
    return [b for b in blocks if b] + [h.body for h in getattr(statement, "handlers", [])]


def _blocks_to_call(block: list[ast.stmt], name: str) -> list[list[ast.stmt]] | None:
    """Return the blocks that lead to the first call of a function, and then that call alone."""
    for statement in block:
        if isinstance(statement, Function | ast.ClassDef):
            continue
        for inner in _inner_blocks(statement):
            inner_blocks = _blocks_to_call(inner, name)
            if inner_blocks is not None:
                return [block, *inner_blocks]
        inner_ids = {
            id(n) for inner in _inner_blocks(statement) for s in inner for n in ast.walk(s)
        }
        for node in ast.walk(statement):
            if (id(node) not in inner_ids and isinstance(node, ast.Call)
                    and ast.unparse(node.func).rpartition(".")[2] == name):  # fmt: skip
                return [block, [ast.copy_location(ast.Expr(node), node)]]
    return None


def _blocks_under_if(block: list[ast.stmt]) -> Iterator[list[ast.stmt]]:
    """Yield the blocks under an `if` in a block, innermost first."""
    for statement in block:
        for inner in _inner_blocks(statement):
            yield from _blocks_under_if(inner)
        if isinstance(statement, ast.If):
            yield from (b for b in (statement.body, statement.orelse) if b)


def _sets_mode(statement: ast.stmt, *methods: str) -> bool:
    """Return whether a statement, taken alone, is a call of `.eval()` or `.train()`."""
    return (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Attribute)
        and statement.value.func.attr in (methods or ("eval", "train"))
    )  # fmt: skip


def _if_network(statement: ast.stmt) -> ast.stmt:
    """Return the statement, carried out for a network alone: a trainer's `.train()` would train."""
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Call)
    assert isinstance(statement.value.func, ast.Attribute)
    owner = deepcopy(statement.value.func.value)
    is_network = ast.Call(
        ast.Name("hasattr", ast.Load()), [owner, ast.Constant("named_parameters")], []
    )
    return ast.copy_location(ast.If(is_network, [statement], []), statement)


def statements_before(file: str, line: int) -> list[ast.stmt]:
    """Return the statements of the innermost function around a line that come before it."""
    path = _path_in(file, line)
    functions = [n for n in path if isinstance(n, Function)]
    return [s for s in functions[-1].body if s.lineno < line] if functions else []


def _path_in(file: str, line: int) -> list[ast.AST]:
    """Return the statements of a file that hold a line, from the module inward."""
    try:
        return list(_path_to(_parse(Path(file).read_text(encoding="utf-8")), line))
    except (OSError, SyntaxError, ValueError):
        return []


def _path_to(node: ast.AST, line: int) -> Iterator[ast.AST]:
    """Yield the statements that hold a line, from the module inward."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            continue
        lines = [getattr(n, "lineno", line + 1) for n in (child, *getattr(child, "body", ()))]
        lines += [d.lineno for d in getattr(child, "decorator_list", ())]
        last = max(getattr(n, "end_lineno", 0) for n in (child, *getattr(child, "body", ())))
        if min(lines) <= line <= last:
            yield from _path_to(child, line)
            return


def calls_training_mode(statements: list[ast.stmt], file: str) -> bool:
    """Return whether one of the statements, taken alone, is a call of `.train()`, or of a function
    of the file that makes one."""
    if any(map(_is_training_call, statements)):
        return True
    called = {ast.unparse(s.value.func).rpartition(".")[2] for s in statements
              if isinstance(s, ast.Expr) and isinstance(s.value, ast.Call)}  # fmt: skip
    return any(
        isinstance(n, ast.FunctionDef) and n.name in called
        and any(isinstance(s, ast.stmt) and _is_training_call(s) for s in ast.walk(n))
        for n in ast.walk(_parse(Path(file).read_text(encoding="utf-8")))
    )  # fmt: skip


def _is_training_call(statement: ast.stmt) -> bool:
    return (
        _sets_mode(statement, "train") and isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and all(isinstance(a, ast.Constant) and a.value for a in statement.value.args)
    )  # fmt: skip
