"""Train small language models on your own text, and learn why when one will not learn.

    from descend import run, run_on_model, load

Importing this package is light: torch is loaded when a name below is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from descend.version import __version__

if TYPE_CHECKING:
    from descend.api import (
        Model,
        attribute,
        check,
        compare,
        diagnose,
        improve,
        load,
        resume,
        run,
        run_on_model,
        search,
        show,
    )
    from descend.config import RunConfig
    from descend.errors import DescendError
    from descend.interop.watch import watch

_LAZY_EXPORTS = {
    "DescendError": "descend.errors",
    "Model": "descend.api",
    "RunConfig": "descend.config",
    "attribute": "descend.api",
    "check": "descend.api",
    "compare": "descend.api",
    "diagnose": "descend.api",
    "improve": "descend.api",
    "load": "descend.api",
    "resume": "descend.api",
    "run": "descend.api",
    "run_on_model": "descend.api",
    "search": "descend.api",
    "show": "descend.api",
    "watch": "descend.interop.watch",
}

__all__ = [
    "DescendError",
    "Model",
    "RunConfig",
    "__version__",
    "attribute",
    "check",
    "compare",
    "diagnose",
    "improve",
    "load",
    "resume",
    "run",
    "run_on_model",
    "search",
    "show",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY_EXPORTS:
        return getattr(import_module(_LAZY_EXPORTS[name]), name)
    raise AttributeError(f"module 'descend' has no attribute {name!r}")
