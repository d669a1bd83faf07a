"""Programs of a framework: a Trainer or a Lightning module gives the parts that a loop would.

A call of `Trainer.train` or `Trainer.fit` during the import is where training would begin: the
import ends there, and what was to be trained is known.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from descend.program_check.lightning_program import is_lightning_module, lightning_parts
from descend.program_check.trainer_program import is_trainer, trainer_parts

LAUNCHERS = {
    "transformers": ("transformers.trainer", "train"),
    "trl": ("transformers.trainer", "train"),
    "lightning": ("lightning.pytorch", "fit"),
    "pytorch_lightning": ("pytorch_lightning", "fit"),
}
"""For a word in the program's source: the module of the class `Trainer` and its method that
trains."""


FIT_ARGUMENTS = ("model", "train_dataloaders")
"""The first arguments of Lightning's `Trainer.fit`, in order."""


class TrainingReachedError(BaseException):
    """Raised where the program would begin to train; no `except Exception` stops it."""


@dataclass
class Launch:
    """What the program was about to train."""

    trainer: Any = None
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)


@contextmanager
def training_stopped(file: Path | None) -> Iterator[Launch]:
    """End whoever runs inside with `TrainingReachedError` where a framework is to train."""
    launch = Launch()
    replaced: list[tuple[type, str, Any]] = []
    for module_name, method in launchers_in(file):
        with suppress(Exception):  # the program will meet the same error
            owner = importlib.import_module(module_name).Trainer
            replaced.append((owner, method, getattr(owner, method)))
            setattr(owner, method, _stop(launch))
    try:
        yield launch
    finally:
        for owner, method, original in replaced:
            setattr(owner, method, original)


def launchers_in(file: Path | None) -> list[tuple[str, str]]:
    """Return what starts training in the frameworks that the program's source names."""
    source = ""
    with suppress(OSError, UnicodeDecodeError):
        source = file.read_text(encoding="utf-8") if file else ""
    return list(dict.fromkeys(
        launcher for word, launcher in LAUNCHERS.items()
        if word in source and importlib.util.find_spec(word) is not None
    ))  # fmt: skip


def _stop(launch: Launch) -> Any:
    def stop(self: Any, *args: Any, **kwargs: Any) -> None:
        launch.trainer, launch.arguments, launch.keywords = self, args, kwargs
        raise TrainingReachedError

    return stop


def framework_parts(namespace: Mapping[str, Any], launch: Launch | None) -> dict[str, Any]:
    """Return the parts of a program that a framework trains; empty for any other program."""
    values = list(namespace.values())
    launch = launch or Launch()
    trainers = [launch.trainer, namespace.get("trainer"), *values]
    trainer = next((v for v in trainers if is_trainer(v)), None)
    if trainer is not None:
        return trainer_parts(trainer)
    given = [*launch.arguments, *launch.keywords.values()]
    modules = [*given, namespace.get("model"), *values]
    module = next((v for v in modules if is_lightning_module(v)), None)
    if module is None:
        return {}
    given_names = launch.keywords | dict(zip(FIT_ARGUMENTS, launch.arguments, strict=False))
    runner = next((v for v in (launch.trainer, *values) if _is_lightning_trainer(v)), None)
    return lightning_parts(module, runner, [*given, *values], given_names, namespace)


def _is_lightning_trainer(value: Any) -> bool:
    home = (type(value).__module__ or "").partition(".")[0]
    return type(value).__name__ == "Trainer" and home in ("lightning", "pytorch_lightning")
