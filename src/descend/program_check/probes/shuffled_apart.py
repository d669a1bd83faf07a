"""Inputs and targets that a program shuffles each in an order of its own, read from its source.

Only what cannot be meant is reported: a loss of pairs, whose prediction comes from one random order
and whose target from another.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PERMUTATIONS = {"randperm", "permutation"}
SHUFFLES = {"shuffle", "permutation"}
LOSS_FUNCTIONS = {
    "cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss",
    "binary_cross_entropy", "binary_cross_entropy_with_logits",
}  # fmt: skip
LOSS_CLASSES = {
    "CrossEntropyLoss", "NLLLoss", "MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss",
    "BCEWithLogitsLoss",
}  # fmt: skip
DATA_SETS = {"TensorDataset", "zip"}
SIZES = {"len", "range", "size", "shape", "numel", "dim", "ndim", "dtype", "device"}
WRAPPERS = {"DataLoader", "list", "enumerate", "tqdm", "iter"}


@dataclass(frozen=True)
class Order:
    """A random order that a line draws."""

    line: int
    column: int
    call: str
    """The function that draws it, as it is written."""
    of: str = field(compare=False)
    """The name that is shuffled; the same order may shuffle several."""


Orders = frozenset[Order]
NONE: Orders = frozenset()


@dataclass
class Names:
    """What the names of a scope come from."""

    orders: dict[str, Orders] = field(default_factory=dict)
    columns: dict[str, list[Orders]] = field(default_factory=dict)
    """Of data sets: the orders of inputs, of targets, and so on."""
    permutations: dict[str, ast.Call] = field(default_factory=dict)
    losses: set[str] = field(default_factory=set)

    def copy(self) -> Names:
        """Return the same for a scope within this one."""
        return Names(
            dict(self.orders), dict(self.columns), dict(self.permutations), set(self.losses)
        )


def shuffled_apart(file: str | None) -> tuple[Order, Order] | None:
    """Return the order of the inputs and that of their targets, where a program draws two."""
    try:
        tree = ast.parse(Path(file or "").read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    seeds = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Call) and _is_seeding(n)]
    names = Names()
    pairs = list(_look_at_scope(tree.body, names))
    for scope in ast.walk(tree):
        if isinstance(scope, ast.FunctionDef):
            own = names.copy()
            for argument in scope.args.args:
                own.orders.pop(argument.arg, None)
                own.columns.pop(argument.arg, None)
            pairs += _look_at_scope(scope.body, own)
    for first, second in pairs:
        start, end = sorted((first.line, second.line))
        if first.call == second.call and not any(start <= line <= end for line in seeds):
            return first, second
    return None


def _is_seeding(call: ast.Call) -> bool:
    name = _last_name(call.func)
    return "seed" in name or name in ("set_state", "setstate", "set_rng_state")


def _last_name(function: ast.expr) -> str:
    return ast.unparse(function).rpartition(".")[2]


def _look_at_scope(body: Sequence[ast.stmt], names: Names) -> Iterator[tuple[Order, Order]]:
    """Follow the names through the statements; yield the orders of losses that pair two."""
    for statement in _statements(body):
        for call in _own_calls(statement):
            yield from _apart_in_loss(call, names)
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                _assign(target, statement.value, names)
        elif isinstance(statement, ast.For):
            _bind_loop(statement.target, statement.iter, names)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            call = statement.value
            if _last_name(call.func) == "shuffle" and (order := _drawn(call)):
                names.orders[order.of] = names.orders.get(order.of, NONE) | {order}


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements in the order of the source, without those of functions and classes."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        yield statement
        for part in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, part, []))
        for handler in getattr(statement, "handlers", []):
            yield from _statements(handler.body)


def _own_calls(statement: ast.stmt) -> Iterator[ast.Call]:
    """Yield the calls of a statement, without those of the statements in it."""
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.expr):
            yield from (node for node in ast.walk(child) if isinstance(node, ast.Call))


def _apart_in_loss(call: ast.Call, names: Names) -> Iterator[tuple[Order, Order]]:
    written = ast.unparse(call.func)
    is_loss = (
        _last_name(call.func) in LOSS_FUNCTIONS
        or written in names.losses
        or (isinstance(call.func, ast.Call) and _last_name(call.func.func) in LOSS_CLASSES)
    )
    if is_loss and len(call.args) >= 2:
        predicted, target = (_orders_of(argument, names) for argument in call.args[:2])
        inputs, targets = predicted - target, target - predicted
        if inputs and targets:
            yield min(inputs, key=_place), min(targets, key=_place)


def _place(order: Order) -> tuple[int, int]:
    return order.line, order.column


def _orders_of(value: ast.expr, names: Names) -> Orders:
    """Return the orders that a value comes from."""
    orders: Orders = NONE
    for node in _values(value):
        if isinstance(node, ast.Name):
            orders |= names.orders.get(node.id, NONE)
            orders |= frozenset().union(*names.columns.get(node.id, []))
        order = _shuffle(node, names)
        if order is not None:
            orders |= {order}
    return orders


def _values(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of an expression that pass on values, and not only sizes."""
    if isinstance(node, ast.Call) and _last_name(node.func) in SIZES:
        return
    if isinstance(node, ast.Attribute) and node.attr in SIZES:
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _values(child)


def _shuffle(node: ast.AST, names: Names) -> Order | None:
    """Return the order of `x[randperm(n)]`, `x[order]`, and `permutation(x)`."""
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        index = node.slice
        if isinstance(index, ast.Tuple) and index.elts:
            index = index.elts[0]
        call = names.permutations.get(index.id) if isinstance(index, ast.Name) else index
        if isinstance(call, ast.Call) and _last_name(call.func) in PERMUTATIONS:
            return _drawn(call, node.value.id)
    if isinstance(node, ast.Call) and _last_name(node.func) in SHUFFLES:
        order = _drawn(node)
        return order if order is not None and len(node.args) == 1 else None
    return None


def _drawn(call: ast.Call, of: str = "") -> Order | None:
    """Return the order that a call draws; None where a seed may make it that of another call."""
    has_own_state = any(isinstance(node, ast.Call) for node in ast.walk(call.func))
    if has_own_state or any(k.arg not in ("device", "dtype") for k in call.keywords):
        return None
    if not of and call.args and isinstance(call.args[0], ast.Name):
        of = call.args[0].id
    return Order(call.lineno, call.col_offset, ast.unparse(call.func), of) if of else None


def _assign(target: ast.expr, value: ast.expr, names: Names) -> None:
    if (
        isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
        and len(target.elts) == len(value.elts)
    ):  # fmt: skip
        orders = [_orders_of(part, names) for part in value.elts]
        for one, of_one in zip(target.elts, orders, strict=True):
            _bind(one, of_one, names)
        return
    if isinstance(target, ast.Name | ast.Attribute):
        name = ast.unparse(target)
        names.losses.discard(name)
        if isinstance(value, ast.Call) and _last_name(value.func) in LOSS_CLASSES:
            names.losses.add(name)
    if isinstance(target, ast.Name):
        names.permutations.pop(target.id, None)
        if isinstance(value, ast.Call) and _last_name(value.func) in PERMUTATIONS:
            names.permutations[target.id] = value
        columns = _columns_of(value, names)
        names.columns.pop(target.id, None)
        if columns:
            names.columns[target.id] = columns
            names.orders.pop(target.id, None)
            return
    _bind(target, _orders_of(value, names), names)


def _columns_of(value: ast.expr, names: Names) -> list[Orders]:
    """Return the orders of each column of a data set; empty for any other value."""
    if isinstance(value, ast.Name):
        return names.columns.get(value.id, [])
    if isinstance(value, ast.Call):
        if _last_name(value.func) in DATA_SETS:
            return [_orders_of(argument, names) for argument in value.args]
        if _last_name(value.func) in WRAPPERS and value.args:
            return _columns_of(value.args[0], names)
    return []


def _bind(target: ast.expr, orders: Orders, names: Names) -> None:
    """Give the names of a target the orders of their value."""
    if isinstance(target, ast.Name):
        names.orders[target.id] = orders
    elif isinstance(target, ast.Tuple | ast.List):
        for one in target.elts:
            _bind(one, orders, names)


def _bind_loop(target: ast.expr, over: ast.expr, names: Names) -> None:
    if (
        isinstance(over, ast.Call) and _last_name(over.func) == "enumerate"
        and isinstance(target, ast.Tuple) and len(target.elts) == 2
    ):  # fmt: skip
        target = target.elts[1]
    columns = _columns_of(over, names)
    if isinstance(target, ast.Tuple) and len(target.elts) == len(columns):
        for one, orders in zip(target.elts, columns, strict=True):
            _bind(one, orders, names)
    elif isinstance(target, ast.Name) and columns:
        names.columns[target.id] = columns
    else:
        _bind(target, _orders_of(over, names), names)
