"""Where a program clears its gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from descend.program_check.source_lines import running_line


@contextmanager
def watch_gradient_clears(file: str | None) -> Iterator[list[int]]:
    """Note the lines of `file` that call `zero_grad` while somebody runs inside."""
    lines: list[int] = []
    own = Path(file).resolve() if file else None
    of_optimizer, of_module = Optimizer.zero_grad, nn.Module.zero_grad

    def note() -> None:
        line = running_line(own) if own is not None else None
        lines.extend([] if line is None else [line])

    def clear_optimizer(self: Any, *args: Any, **kwargs: Any) -> Any:
        note()
        return of_optimizer(self, *args, **kwargs)

    def clear_module(self: Any, *args: Any, **kwargs: Any) -> Any:
        note()
        return of_module(self, *args, **kwargs)

    Optimizer.zero_grad = clear_optimizer  # type: ignore[method-assign]
    nn.Module.zero_grad = clear_module  # type: ignore[method-assign]
    try:
        yield lines
    finally:
        Optimizer.zero_grad = of_optimizer  # type: ignore[method-assign]
        nn.Module.zero_grad = of_module  # type: ignore[method-assign]
