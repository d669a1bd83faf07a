"""Run a script with other seeds than it sets itself: `python seeded_main.py NUMBER SCRIPT ARG…`.

For programs without a flag for the seed. NUMBER is added to every seed that the script gives to
`random`, `numpy`, and `torch`. It is also their seed at the start. Imports nothing of descend: the
program may run in another environment.
"""

from __future__ import annotations

import importlib.util
import random
import runpy
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any


def shift_seed(set_seed: Callable[..., Any], number: int) -> Callable[..., Any]:
    """Return `set_seed` with `number` added to whole seeds."""

    def shifted(seed: Any = None, *others: Any, **options: Any) -> Any:
        return set_seed(seed + number if isinstance(seed, int) else seed, *others, **options)

    return shifted


def shift_module(module: Any, name: str, number: int) -> None:
    """Seed a module by its function `name` with `number`, and shift later seeds."""
    set_seed = getattr(module, name)
    set_seed(number)
    setattr(module, name, shift_seed(set_seed, number))


class SeedFinder(MetaPathFinder):
    """Shifts the seeds of `numpy` and `torch` as soon as the script imports them."""

    def __init__(self, number: int) -> None:
        self.actions: dict[str, Callable[[Any], None]] = {
            "numpy": lambda module: shift_module(module.random, "seed", number),
            "torch": lambda module: shift_module(module, "manual_seed", number),
        }

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that others find, with the action after the import."""
        action = self.actions.pop(fullname, None)
        spec = importlib.util.find_spec(fullname) if action else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_shift(module: ModuleType) -> None:
            execute(module)
            assert action is not None
            action(module)

        spec.loader.exec_module = execute_and_shift  # type: ignore[method-assign]
        return spec


def main() -> None:
    """Run the script of the command line."""
    number, script = int(sys.argv[1]), sys.argv[2]
    shift_module(random, "seed", number)
    sys.meta_path.insert(0, SeedFinder(number))
    sys.argv = sys.argv[2:]
    sys.path[0] = str(Path(script).resolve().parent)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
