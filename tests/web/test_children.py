"""Short work in a process of its own, where it takes too long."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from descend.web.studio import children
from descend.web.studio.children import ChildError, Children
from descend.web.studio.workspace import Workspace


def test_ask_says_so_when_a_process_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "TIMEOUT_SECONDS", 0.05)

    async def ask() -> None:
        await Children(Workspace(tmp_path)).ask("env")

    # In a thread of its own: the loop of a browser test may still run in this one.
    with ThreadPoolExecutor(1) as thread, pytest.raises(ChildError, match="less busy"):
        thread.submit(asyncio.run, ask()).result()
