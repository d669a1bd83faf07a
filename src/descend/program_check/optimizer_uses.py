"""Where the source of a program may step an optimizer."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch.optim import Optimizer

from descend.program_check.instrumentation.lines_run import FileLine
from descend.program_check.instrumentation.object_graph import (
    OWN_PARTS_OF_TORCH,
    reachable_objects,
)
from descend.program_check.loop_source import Function, Loop
from descend.program_check.training_loop import ScopeFrame

MAX_ITEMS = 20
"""Items of a list or dictionary in which an optimizer is looked for."""


Over = ast.For | ast.comprehension
"""What goes through items."""


@dataclass(frozen=True)
class OptimizerNames:
    """What a program calls an optimizer, and what it calls anything else."""

    own: tuple[str, ...]
    """Names and attributes that hold it, alone or in a list or dictionary."""
    others: Set[str]


def names_of(
    optimizer: Optimizer, namespace: Mapping[str, Any], trees: Mapping[str, ast.Module]
) -> OptimizerNames:
    """Return the names by which a program gets at an optimizer, and those of all else.

    What only a loop over several sets is none of them.
    """
    own, others = dict[str, None](), set[str]()
    reachable = reachable_objects(namespace)
    # A schedule calls whatever it drives `optimizer`.
    of_torch = {
        id(getattr(v, "__dict__", v))
        for v in reachable
        if type(v).__module__.startswith(OWN_PARTS_OF_TORCH)
    }
    for holder in reachable:
        is_names = isinstance(holder, Mapping) and id(holder) not in of_torch
        for name, value in list(holder.items()) if is_names else ():
            if isinstance(name, str) and _holds(value, optimizer):
                own.setdefault(name)
            elif isinstance(name, str):
                others.add(name)
    loops = [n for tree in trees.values() for n in ast.walk(tree) if isinstance(n, Over)]
    targets = {_word(n) for loop in loops for n in ast.walk(loop.target)}
    lasting = tuple(name for name in own if name not in targets)
    return OptimizerNames(lasting or tuple(own), others - set(own))


def _holds(value: Any, optimizer: Optimizer) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple) and len(value) <= MAX_ITEMS:
        return any(item is optimizer for item in value)
    return value is optimizer


@dataclass(frozen=True)
class UseSearch:
    """Looks for a line that may step an optimizer, and has not shown that it does not."""

    trees: Mapping[str, ast.Module]
    names: OptimizerNames
    lines: Set[FileLine]
    """These ran, in steps that did not step it."""
    scopes: Collection[ScopeFrame]
    """What was running when the loop was stopped."""

    def first_line(self) -> int | None:
        """Return the first such line; None where the source steps it nowhere."""
        for file, tree in self.trees.items():
            for node in ast.walk(tree):
                if self._may_step(file, self._outward(node)):
                    return int(getattr(node, "lineno", 0))
        return None

    @cached_property
    def _around(self) -> dict[int, ast.AST]:
        nodes = [node for tree in self.trees.values() for node in ast.walk(tree)]
        return {id(inner): node for node in nodes for inner in ast.iter_child_nodes(node)}

    def _outward(self, node: ast.AST) -> list[ast.AST]:
        """Return a node, then what holds it, from the inside."""
        chain = [node]
        while id(chain[-1]) in self._around:
            chain.append(self._around[id(chain[-1])])
        return chain

    def _may_step(self, file: str, chain: list[ast.AST]) -> bool:
        node = chain[0]
        if isinstance(node, ast.Call) and _word(node.func) == "step":
            owner = node.func.value if isinstance(node.func, ast.Attribute) else node.func
            if _word(owner) in self.names.own and not isinstance(owner, ast.Subscript):
                return True
            over = [
                n.iter for n in chain if isinstance(n, Over) and _word(n.target) == _word(owner)
            ]
            name = _word(over[0] if over else owner)
            return name not in self.names.others and not self._has_run(file, node)
        if _word(node) in self.names.own and isinstance(getattr(node, "ctx", None), ast.Load):
            return not self._is_harmless(file, chain)
        return False

    def _is_harmless(self, file: str, chain: list[ast.AST]) -> bool:
        """Return whether a use of its name, the first of `chain`, hands it to nobody who steps
        it."""
        user, *rest = chain[1:]
        if isinstance(user, ast.Subscript) and isinstance(user.slice, ast.Constant):
            return self._is_harmless(file, chain[1:])
        if isinstance(user, ast.Attribute):  # a call of `.step` is looked at by itself
            return user.attr != "step" or isinstance(rest[0], ast.Call)
        if isinstance(user, ast.Tuple | ast.List):
            user, *rest = rest
        if isinstance(user, Over) and isinstance(user.target, ast.Name):
            block = user if isinstance(user, ast.For) else rest[0]
            users = [self._around[id(n)] for n in ast.walk(block)
                     if _word(n) == user.target.id and n is not user.target]  # fmt: skip
            return all(map(_never_steps, users))
        if isinstance(user, ast.Return | ast.Compare):
            return True
        if isinstance(user, ast.Assign):
            return all(_word(t) in self.names.own for t in user.targets)
        if isinstance(user, ast.keyword):
            user, *rest = rest
        return isinstance(user, ast.Call) and self._is_call_without_step(file, user, rest)

    def _is_call_without_step(self, file: str, call: ast.Call, rest: list[ast.AST]) -> bool:
        name = _word(call.func)
        if name == "step":
            return False
        if _never_steps(call):
            return True
        if any(s.code.co_filename == file and call.lineno <= s.line <= (call.end_lineno or 0)
               for s in self.scopes):  # fmt: skip
            return True  # what it called is running, under names of its own
        is_own = any(isinstance(n, ast.FunctionDef) and n.name == name
                     for tree in self.trees.values() for n in ast.walk(tree))  # fmt: skip
        return (self._has_run(file, call) and not is_own) or self._is_past(file, call, rest)

    def _has_run(self, file: str, node: ast.expr) -> bool:
        return any((file, line) in self.lines
                   for line in range(node.lineno, (node.end_lineno or 0) + 1))  # fmt: skip

    def _is_past(self, file: str, call: ast.Call, rest: list[ast.AST]) -> bool:
        """Return whether a call stood, under no condition and in no loop, before what was
        running."""
        blocks = [n for n in rest if isinstance(n, Loop | ast.If | Function | ast.Module)]
        scope = blocks[0]
        heads = [scope, *getattr(scope, "decorator_list", ())]
        first = min(getattr(head, "lineno", 1) for head in heads)
        return isinstance(scope, Function | ast.Module) and any(
            s.code.co_filename == file
            and s.code.co_firstlineno == first
            and (call.end_lineno or 0) < s.line
            for s in self.scopes
        )


def _never_steps(user: ast.AST) -> bool:
    """Return whether this uses an optimizer for an attribute, or to make a schedule."""
    if isinstance(user, ast.Attribute):
        return user.attr != "step"
    name = _word(user.func) if isinstance(user, ast.Call) else ""
    return name.endswith("LR") or "schedul" in name.lower()


def _word(node: ast.AST) -> str:
    """Return a name, or the last word of an attribute; of an item, that of its holder."""
    if isinstance(node, ast.Subscript):
        return _word(node.value)
    return node.id if isinstance(node, ast.Name) else str(getattr(node, "attr", ""))
