"""A script outside the package as a module: the tools and the benchmarks are no packages."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load_script(path: Path) -> ModuleType:
    """Return the module of the script at `path`, named by its folder and file."""
    name = f"{path.parent.name}_{path.stem}"  # benchmarks import each other by their stems
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where records of a module look up their types
    spec.loader.exec_module(module)
    return module
