"""An output of a notebook that can be renewed in place."""

from __future__ import annotations

from typing import Any


def display_cell(html: str) -> Any:
    """Show `html` in the cell; what comes back can put other HTML in its place."""
    from IPython.display import display

    return display(_html(html), display_id=True)  # type: ignore[no-untyped-call]


def update_cell(handle: Any, html: str) -> None:
    """Put `html` in the place of what was shown."""
    handle.update(_html(html))


def _html(html: str) -> Any:
    from IPython.display import HTML

    return HTML(html)  # type: ignore[no-untyped-call]
