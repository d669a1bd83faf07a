"""The trash of a studio: requests that come at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from descend.web.studio.http_errors import NoSuchItemError
from descend.web.studio.trash import delete_run, list_deleted, restore_run
from descend.web.studio.workspace import Workspace

from .studio_server import copy_run

AT_ONCE = 16


def delete_together(workspace: Workspace, names: list[str]) -> list[str | None]:
    """The place in the trash of each run, deleted by a thread of its own; None where it failed."""
    barrier = Barrier(len(names))

    def delete(name: str) -> str | None:
        barrier.wait()
        try:
            return delete_run(workspace, name).id
        except NoSuchItemError:
            return None

    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(delete, names))


@pytest.mark.parametrize("attempt", range(4))
def test_runs_deleted_at_once_come_back_one_by_one(
    services: Any, trained: Any, attempt: int
) -> None:
    workspace = services.workspace
    names = [f"run-{number}" for number in range(AT_ONCE)]
    for name in names:
        copy_run(trained, workspace.root, name)
    places = delete_together(workspace, names)
    assert len(set(places)) == AT_ONCE
    assert [restore_run(workspace, place) for place in places if place] == names
    assert list_deleted(workspace) == []


def test_run_that_is_deleted_twice_at_once_is_deleted_once(services: Any, trained: Any) -> None:
    workspace = services.workspace
    copy_run(trained, workspace.root, "first")
    places = [place for place in delete_together(workspace, ["first"] * AT_ONCE) if place]
    assert len(places) == 1
    assert [place.name for place in workspace.trash.iterdir()] == places
    assert restore_run(workspace, places[0]) == "first"
