"""A program that is checked from Python is left as it was found."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pieces import source
from styles import STEPS

from descend import check
from descend.program_check.instrumentation.state_guard import preserve_state
from descend.program_check.program import ProgramError


def running(pieces: dict[str, str], steps: int) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "somebody"}
    exec(compile(source(pieces), "somebody.py", "exec"), names)
    for _, batch in zip(range(steps), names["batches"](), strict=False):
        names["step"](batch)
    return names


def state_of(names: dict[str, Any]) -> dict[str, Any]:
    model, optimizer = names["model"], names["optimizer"]
    return {
        "weights": {n: p.detach().clone() for n, p in model.state_dict().items()},
        "grads": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "moments": [v.clone() for s in optimizer.state.values() for v in s.values()],
        "rates": [g["lr"] for g in optimizer.param_groups],
        "modes": [m.training for m in model.modules()],
        "plain": {k: v for k, v in names.items() if isinstance(v, int | float)},
        "numbers": (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()),
        "schedule": getattr(names.get("scheduler"), "last_epoch", None),
    }


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("style", ["warmup", "parts over calls", "float16 and scaler"])
def test_nothing_is_changed(style: str) -> None:
    names = running(STEPS[style], 5)
    before = state_of(names)
    assert same(before, state_of(names))
    names["step"](next(names["batches"]()))
    assert not same(before, state_of(names))  # it would be noticed
    before = state_of(names)
    report = check(names)
    assert not report.bugs
    assert same(before, state_of(names))


def test_check_leaves_later_training_bitwise_identical() -> None:
    twins = [running(STEPS["warmup"], 3) for _ in range(2)]
    check(twins[0])
    torch.manual_seed(5)
    one = [twins[0]["step"](b) for _, b in zip(range(3), twins[0]["batches"](), strict=False)]
    torch.manual_seed(5)
    two = [twins[1]["step"](b) for _, b in zip(range(3), twins[1]["batches"](), strict=False)]
    assert one == two


def test_namespace_guard_restores_names_lists_and_closures() -> None:
    def counter() -> Callable[[], int]:
        count = 0

        def up() -> int:
            nonlocal count
            count += 1
            return count

        return up

    names: dict[str, Any] = {"up": counter(), "seen": [1], "n": 1}
    with preserve_state(names):
        names["up"]()
        names["seen"].append(2)
        names["n"] = 2
        names["more"] = 3
        assert names["up"]() == 2
    assert names["up"]() == 1
    assert (names["seen"], names["n"], "more" in names) == ([1], 1, False)


def test_a_namespace_without_a_model_is_refused() -> None:
    with pytest.raises(ProgramError, match="under the name `model`"):
        check({"net": torch.nn.Linear(2, 2)})
