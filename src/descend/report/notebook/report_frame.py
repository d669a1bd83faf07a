"""A whole report in a cell of a notebook."""

from __future__ import annotations

from html import escape


def report_frame(page: str, title: str, height: int) -> str:
    """Return the HTML `page` in a frame `height` CSS pixels high.

    The frame has an origin of its own, so neither its scripts nor its style reach the notebook.
    """
    return (
        f'<div><iframe srcdoc="{escape(page)}" title="{escape(title)}" sandbox="allow-scripts"'
        f' style="width:100%;height:{height}px;border:1px solid rgba(128,128,128,.3)"></iframe>'
        "</div>"
    )
