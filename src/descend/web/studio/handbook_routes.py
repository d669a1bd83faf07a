"""Routes about the handbook, the presets, and this computer."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from descend.presets import PRESETS
from descend.web.studio.services import Services


def handbook_routes(services: Services) -> APIRouter:
    """Return the routes, over the parts of `services`."""
    router = APIRouter(tags=["handbook"])
    workspace, children = services.workspace, services.children

    @router.get("/pages")
    def pages() -> dict[str, Any]:
        """List the pages of the handbook."""
        from descend.handbook.explanation import list_pages  # its causes take a while to load

        return list_pages().data

    @router.get("/pages/{name}")
    def page(name: str, run: Annotated[str | None, Query(max_length=100)] = None) -> dict[str, Any]:
        """Show a page of the handbook, with the numbers of a run if one is named."""
        from descend.handbook.explanation import explain_page

        return explain_page(name, None if run is None else workspace.run_folder(run)).data

    @router.get("/presets")
    def presets() -> dict[str, Any]:
        """List the presets with what each sets beside the defaults."""
        return {"presets": PRESETS}

    @router.get("/environment")
    async def environment() -> dict[str, Any]:
        """Show versions, cores, and devices of this computer."""
        answer = await children.ask("env")
        return {key: value for key, value in answer.items() if key != "cache_folder"}

    return router
