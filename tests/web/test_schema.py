"""Requests made up from the published schema: whatever is sent, the answer is no internal error."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from .studio_server import copy_run

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

SHORT, LONG = 2, 120
"""Requests for each operation."""

STARTS_WORK = {
    ("POST", "/api/v1/runs/{name}/diagnosis"),
    ("POST", "/api/v1/runs/{name}/continue"),
    ("POST", "/api/v1/runs/{name}/fix"),
    ("POST", "/api/v1/runs/{name}/resume"),
    ("POST", "/api/v1/runs/{name}/improvement"),
    ("POST", "/api/v1/runs/{name}/report"),
    ("POST", "/api/v1/runs/{name}/export"),
    ("POST", "/api/v1/runs/{name}/push"),
    ("POST", "/api/v1/runs/{name}/server"),
    ("POST", "/api/v1/runs/{name}/evaluation"),
    ("GET", "/api/v1/runs/{name}/checklist"),
    ("DELETE", "/api/v1/runs/{name}"),
}
"""Those get names of runs that are not there."""


@pytest.mark.timeout(1500)
def test_made_up_requests_get_no_internal_error(studio: Any, trained: Path) -> None:
    # In a thread of its own: the loop of a browser test may still run in this one.
    with ThreadPoolExecutor(1) as thread:
        sent = thread.submit(send_made_up_requests, studio, trained, SHORT)
    assert sent.result() > 40


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
def test_many_made_up_requests_get_no_internal_error(studio: Any, trained: Path) -> None:
    assert send_made_up_requests(studio, trained, LONG) > 40


def send_made_up_requests(studio: Any, trained: Path, count: int) -> int:
    """Send `count` requests to each operation; how many operations there are."""
    copy_run(trained, studio.folder, "first")
    headers = {"Authorization": f"Bearer {studio.key}"}
    schema = schemathesis.openapi.from_url(
        f"{studio.address}/api/v1/openapi.json", headers=headers, wait_for_schema=60
    )
    operations = [result.ok() for result in schema.get_all_operations()]
    for operation in operations:
        send_to(operation, headers, count)
    assert studio.process.poll() is None
    assert studio.ask("GET", "/runs")[0] == 200
    return len(operations)


def send_to(operation: Any, headers: dict[str, str], count: int) -> None:
    """Send `count` requests to one operation, every second one about a run that is there."""
    sent = 0

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def send(case: Any) -> None:
        nonlocal sent
        sent += 1
        route = (operation.method.upper(), operation.path)
        if sent % 2 and "name" in (case.path_parameters or {}) and route not in STARTS_WORK:
            case.path_parameters["name"] = "first"
        response = case.call(headers=headers, timeout=900)
        assert response.status_code < 500, (route, response.status_code, response.text[:300])

    send()
