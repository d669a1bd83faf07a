"""Routes that look inside a model: layers, attention, surprise, neighbors, parts switched off."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from descend.web.studio.inspector import Inspector
from descend.web.studio.requests import Body
from descend.web.studio.run_routes import as_json
from descend.web.studio.services import Services

MAX_TEXT = 2000
"""Characters of a passage: far more than the tokens that are looked at."""

MAX_PARTS = 10_000
"""Of a layer or head: the model says which it has."""


class PassageRequest(Body):
    """A passage for the model with some weights."""

    weights: str = Field("model", max_length=40)
    text: str = Field(max_length=MAX_TEXT)


class InspectRequest(PassageRequest):
    """A passage, and the part of the model that is switched off."""

    layer: int | None = Field(None, ge=1, le=MAX_PARTS)
    head: int | None = Field(None, ge=1, le=MAX_PARTS)
    """Without one the whole block of the layer."""


class NeighborsRequest(Body):
    """A token of the model's vocabulary."""

    weights: str = Field("model", max_length=40)
    token: int = Field(ge=0, lt=2**31)


def inspect_routes(services: Services) -> APIRouter:
    """Return the routes, over the parts of `services`."""
    router = APIRouter(tags=["inside"])
    inspector = Inspector(services.workspace)

    @router.get("/runs/{name}/weights")
    def weights(name: str) -> Response:
        """List the weights that a run kept: snapshots, checkpoints, and the model."""
        return as_json(inspector.list_weights(name))

    @router.post("/runs/{name}/inspect")
    def inspect(name: str, body: InspectRequest) -> Response:
        """Show what goes on inside the model while it reads a text."""
        return as_json(inspector.inspect(name, body.weights, body.text, body.layer, body.head))

    @router.post("/runs/{name}/ablations")
    def ablations(name: str, body: PassageRequest) -> Response:
        """Measure how much worse the model predicts a text without each of its parts."""
        return as_json(inspector.ablations(name, body.weights, body.text))

    @router.post("/runs/{name}/neighbors")
    def neighbors(name: str, body: NeighborsRequest) -> Response:
        """List the tokens that the model takes for most similar to one."""
        return as_json({"neighbors": inspector.neighbors(name, body.weights, body.token)})

    @router.get("/runs/{name}/gradients")
    def gradients(name: str) -> Response:
        """Show how much gradient reached each layer while the run trained."""
        return as_json(inspector.gradients(name))

    return router
