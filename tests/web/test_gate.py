"""The gate: every route, with every kind of credential, host, and origin."""

from __future__ import annotations

import asyncio
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.routing import APIRoute

from descend.web.credentials import MAX_ATTEMPTS, Credentials
from descend.web.studio.app import MAX_BODY_BYTES, PUBLIC, make_app

HOST = "127.0.0.1:9999"
ORIGIN = f"http://{HOST}"
COOKIE = "descend_studio_9999"

# One row a route: method, the path as the application has it, a path to ask for, and the status
# that a request gets that the gate lets through. A route without a row fails the test.
ROWS = [
    ("GET", "/", "/", 200),
    ("GET", "/static/{path:path}", "/static/js/main.js", 200),
    ("GET", "/login", "/login", 200),
    ("POST", "/login", "/login", 403),
    ("GET", "/api/v1/openapi.json", "/api/v1/openapi.json", 200),
    ("GET", "/api/v1/workspace", "/api/v1/workspace", 200),
    ("GET", "/api/v1/runs", "/api/v1/runs", 200),
    ("POST", "/api/v1/runs", "/api/v1/runs", 422),
    ("GET", "/api/v1/runs/compare", "/api/v1/runs/compare?run=a&run=b", 404),
    ("GET", "/api/v1/runs/{name}", "/api/v1/runs/none", 404),
    ("GET", "/api/v1/runs/{name}/curve", "/api/v1/runs/none/curve", 404),
    ("GET", "/api/v1/runs/{name}/events", "/api/v1/runs/none/events", 404),
    ("POST", "/api/v1/runs/{name}/stop", "/api/v1/runs/none/stop", 404),
    ("POST", "/api/v1/runs/{name}/resume", "/api/v1/runs/none/resume", 404),
    ("POST", "/api/v1/runs/{name}/pause", "/api/v1/runs/none/pause", 404),
    ("DELETE", "/api/v1/runs/{name}", "/api/v1/runs/none", 404),
    ("GET", "/api/v1/trash", "/api/v1/trash", 200),
    ("POST", "/api/v1/trash/restore", "/api/v1/trash/restore", 422),
    ("GET", "/api/v1/runs/{name}/diagnosis", "/api/v1/runs/none/diagnosis", 404),
    ("POST", "/api/v1/runs/{name}/diagnosis", "/api/v1/runs/none/diagnosis", 404),
    ("POST", "/api/v1/runs/{name}/fix", "/api/v1/runs/none/fix", 404),
    ("GET", "/api/v1/runs/{name}/health", "/api/v1/runs/none/health", 404),
    ("GET", "/api/v1/runs/{name}/diagnosis/trials", "/api/v1/runs/none/diagnosis/trials", 404),
    ("GET", "/api/v1/runs/{name}/improvement", "/api/v1/runs/none/improvement", 404),
    ("POST", "/api/v1/runs/{name}/improvement", "/api/v1/runs/none/improvement", 422),
    ("POST", "/api/v1/runs/{name}/improvement/keep", "/api/v1/runs/none/improvement/keep", 404),
    ("GET", "/api/v1/lessons", "/api/v1/lessons", 200),
    ("GET", "/api/v1/lessons/{lesson}", "/api/v1/lessons/none", 404),
    ("GET", "/api/v1/lessons/{lesson}/experiment", "/api/v1/lessons/none/experiment", 404),
    ("POST", "/api/v1/lessons/{lesson}/experiment", "/api/v1/lessons/none/experiment", 422),
    (
        "POST",
        "/api/v1/lessons/{lesson}/experiment/stop",
        "/api/v1/lessons/none/experiment/stop",
        404,
    ),
    ("PUT", "/api/v1/runs/{name}/annotation", "/api/v1/runs/none/annotation", 422),
    ("POST", "/api/v1/runs/{name}/continue", "/api/v1/runs/none/continue", 404),
    ("GET", "/api/v1/runs/{name}/forecast", "/api/v1/runs/none/forecast", 404),
    ("GET", "/api/v1/runs/{name}/weights", "/api/v1/runs/none/weights", 404),
    ("POST", "/api/v1/runs/{name}/inspect", "/api/v1/runs/none/inspect", 422),
    ("POST", "/api/v1/runs/{name}/ablations", "/api/v1/runs/none/ablations", 422),
    ("POST", "/api/v1/runs/{name}/neighbors", "/api/v1/runs/none/neighbors", 422),
    ("GET", "/api/v1/runs/{name}/gradients", "/api/v1/runs/none/gradients", 404),
    ("PUT", "/api/v1/texts/{name}/files/{file}", "/api/v1/texts/a/files/a.txt", 422),
    ("GET", "/api/v1/texts", "/api/v1/texts", 200),
    ("PUT", "/api/v1/texts/{name}", "/api/v1/texts/a.txt", 422),
    ("GET", "/api/v1/texts/{name}/statistics", "/api/v1/texts/none/statistics", 404),
    ("GET", "/api/v1/settings", "/api/v1/settings", 200),
    ("GET", "/api/v1/pages/{name}", "/api/v1/pages/epoch", 200),
    ("GET", "/api/v1/pages", "/api/v1/pages", 200),
    ("GET", "/api/v1/presets", "/api/v1/presets", 200),
    ("GET", "/api/v1/environment", "/api/v1/environment", 200),
    ("POST", "/api/v1/plan", "/api/v1/plan", 422),
    ("GET", "/api/v1/experiments", "/api/v1/experiments", 200),
    ("GET", "/api/v1/experiments/{name}", "/api/v1/experiments/none", 404),
    ("POST", "/api/v1/experiments/comparisons", "/api/v1/experiments/comparisons", 422),
    ("POST", "/api/v1/experiments/searches", "/api/v1/experiments/searches", 422),
    ("POST", "/api/v1/experiments/attributions", "/api/v1/experiments/attributions", 422),
    ("POST", "/api/v1/experiments/{name}/stop", "/api/v1/experiments/none/stop", 404),
    ("POST", "/api/v1/experiments/{name}/again", "/api/v1/experiments/none/again", 404),
    ("POST", "/api/v1/experiments/{name}/report", "/api/v1/experiments/none/report", 404),
    ("GET", "/api/v1/experiments/{name}/report", "/api/v1/experiments/none/report", 404),
    ("DELETE", "/api/v1/experiments/{name}", "/api/v1/experiments/none", 404),
    ("POST", "/api/v1/experiments/{name}/train", "/api/v1/experiments/none/train", 404),
    ("POST", "/api/v1/texts/{name}/additions", "/api/v1/texts/none/additions", 422),
    ("GET", "/api/v1/tokenizers", "/api/v1/tokenizers", 200),
    ("POST", "/api/v1/tokenizers/{name}", "/api/v1/tokenizers/none", 422),
    (
        "GET",
        "/api/v1/checks/programs/trials",
        "/api/v1/checks/programs/trials?file=none.py",
        404,
    ),
    ("POST", "/api/v1/checks/programs/trials", "/api/v1/checks/programs/trials", 422),
    ("POST", "/api/v1/checks/programs/trials/stop", "/api/v1/checks/programs/trials/stop", 422),
    ("GET", "/api/v1/runs/{name}/server", "/api/v1/runs/none/server", 404),
    ("POST", "/api/v1/runs/{name}/server", "/api/v1/runs/none/server", 404),
    ("POST", "/api/v1/runs/{name}/server/stop", "/api/v1/runs/none/server/stop", 404),
    ("POST", "/api/v1/runs/{name}/push", "/api/v1/runs/none/push", 422),
    ("GET", "/api/v1/checks/files", "/api/v1/checks/files", 200),
    ("PUT", "/api/v1/checks/files/{file}", "/api/v1/checks/files/a.jsonl", 422),
    ("POST", "/api/v1/checks", "/api/v1/checks", 422),
    ("GET", "/api/v1/runs/{name}/checklist", "/api/v1/runs/none/checklist", 404),
    ("POST", "/api/v1/runs/{name}/evaluation", "/api/v1/runs/none/evaluation", 422),
    ("POST", "/api/v1/runs/{name}/export", "/api/v1/runs/none/export", 422),
    ("GET", "/api/v1/exports/{name}/files/{file}", "/api/v1/exports/none/files/a.bin", 404),
    ("POST", "/api/v1/runs/{name}/report", "/api/v1/runs/none/report", 404),
    ("GET", "/api/v1/runs/{name}/report", "/api/v1/runs/none/report", 404),
    ("GET", "/api/v1/runs/{name}/model", "/api/v1/runs/none/model", 404),
    ("POST", "/api/v1/runs/{name}/generate", "/api/v1/runs/none/generate", 422),
]

HOSTS = {
    HOST: True, "127.0.0.1": False, "127.0.0.1:80": False, "evil.example:9999": False,
    "localhost.evil.example:9999": False, f"{HOST}.evil.example": False, None: False,
}  # fmt: skip
ORIGINS = {
    ORIGIN: True, f"https://{HOST}": False, "http://evil.example": False, "null": False,
    f"{ORIGIN}.evil.example": False,
}  # fmt: skip


def routes_of(app: Any) -> set[tuple[str, str]]:
    """Method and path of every route that `app` answers, however it was added."""
    routes = set()
    for route in app.routes:
        if isinstance(route, APIRoute):
            routes |= {(method, route.path) for method in route.methods}
        elif hasattr(route, "effective_candidates"):
            for candidate in route.effective_candidates():
                routes |= {(method, candidate.path) for method in candidate.methods}
        else:
            routes |= {(method, route.path) for method in route.methods - {"HEAD"}}
    return routes


def test_every_route_has_a_row(services: Any) -> None:
    routes = routes_of(make_app(services, COOKIE))
    assert len(routes) > 20
    assert routes == {(method, path) for method, path, _, _ in ROWS}


def credentials_of(services: Any) -> dict[str, tuple[dict[str, str], bool]]:
    session = services.credentials.redeem(services.credentials.token)
    return {
        "none": ({}, False),
        "session": ({"cookie": f"{COOKIE}={session}"}, True),
        "other cookies too": ({"cookie": f"a=b; {COOKIE}={session}; c=d"}, True),
        "wrong session": ({"cookie": f"{COOKIE}={'x' * 43}"}, False),
        "two sessions": ({"cookie": f"{COOKIE}={session}; {COOKIE}=x"}, False),
        "session of another port": ({"cookie": f"descend_studio_1={session}"}, False),
        "key": ({"authorization": f"Bearer {services.credentials.key}"}, True),
        "wrong key": ({"authorization": "Bearer x"}, False),
        "token as key": ({"authorization": f"Bearer {services.credentials.token}"}, False),
    }


@pytest.mark.parametrize(("method", "route", "path", "status"), ROWS)
def test_each_route_opens_only_with_credential_host_and_origin(
    services: Any, ask: Any, method: str, route: str, path: str, status: int
) -> None:
    def answer(headers: dict[str, str]) -> int:
        code: int = ask(method, path, headers)[0]
        return code

    public = (method, route) in PUBLIC or path in ("/static/studio.css",)
    for kind, (headers, opens) in credentials_of(services).items():
        with_origin = {"host": HOST, "origin": ORIGIN, **headers}
        closed = 303 if path == "/" else 401
        assert answer(with_origin) == (status if opens or public else closed), kind
        without_origin = {"host": HOST, **headers}
        allowed = method == "GET" or kind == "key"
        expected = (status if opens or public else closed) if allowed else 403
        assert answer(without_origin) == expected, kind
        for host, origin in itertools.product(HOSTS, ORIGINS):
            if (HOSTS[host] and ORIGINS[origin]) or kind not in ("none", "session", "key"):
                continue
            named = {} if host is None else {"host": host}
            code = answer({**named, "origin": origin, **headers})
            assert code == (403 if HOSTS[host] else 421), (kind, host, origin)
        for site in ("cross-site", "same-site"):
            assert answer({**with_origin, "sec-fetch-site": site}) == 403, (kind, site)


def test_every_answer_carries_the_policy(services: Any, ask: Any) -> None:
    key = {"authorization": f"Bearer {services.credentials.key}"}
    for headers in ({}, {"host": HOST}, {"host": HOST, **key}):
        for path in ("/", "/static/js/main.js", "/api/v1/runs", "/nothing", "/login"):
            _, answer, _ = ask("GET", path, headers)
            policy = answer["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "http" not in policy
            assert answer["x-content-type-options"] == "nosniff"
            assert "access-control-allow-origin" not in answer


def test_token_opens_once_and_the_next_one_is_said(services: Any, ask: Any) -> None:
    links: list[str] = []
    services.credentials.on_redeem = links.append
    token = services.credentials.token
    status, answer, _ = ask("GET", f"/?token={token}", {"host": HOST})
    assert (status, answer["location"]) == (303, "/")
    cookie = answer["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    session = {"host": HOST, "cookie": cookie.partition(";")[0]}
    assert ask("GET", "/", session)[0] == 200
    status, answer, _ = ask("GET", f"/?token={token}", {"host": HOST})
    assert (status, answer["location"]) == (303, "/login")
    # Who has a session already and opens the link again is let in, without a new one.
    status, answer, _ = ask("GET", f"/?token={token}", session)
    assert (status, "set-cookie" in answer) == (303, False)
    assert links == [services.credentials.token]
    assert links[0] != token
    assert ask("GET", f"/?token={links[0]}", {"host": HOST})[0] == 303
    # From another page the link opens nothing.
    cross = {"host": HOST, "sec-fetch-site": "cross-site"}
    assert ask("GET", f"/?token={services.credentials.token}", cross)[0] == 403


def test_password_opens_and_guessing_stops(services: Any, ask: Any) -> None:
    headers = {"host": HOST, "origin": ORIGIN}
    status, answer, _ = ask("POST", "/login", headers, b"password=correct+horse")
    assert status == 303
    assert ask("GET", "/", {"host": HOST, "cookie": answer["set-cookie"].split(";")[0]})[0] == 200
    for _ in range(MAX_ATTEMPTS):
        assert ask("POST", "/login", headers, b"password=wrong")[0] == 403
    assert ask("POST", "/login", headers, b"password=correct+horse")[0] == 403
    assert Credentials().log_in("") is None


@pytest.mark.parametrize("path", [
    "/static/../gate.py", "/static/%2e%2e/gate.py", "/static/..%2fgate.py", "/static//js/main.js",
    "/static/js%5cmain.js", "/static/js\\main.js", "/api/v1/runs/%2e%2e", "/api/v1/runs/..",
    "/api/v1/runs/a%00b", "/api/v1/pages/%2e%2e%2fx", "/" + "a" * 2000, "/?" + "a" * 5000,
])  # fmt: skip
def test_paths_that_are_not_plain_are_refused(services: Any, ask: Any, path: str) -> None:
    headers = {"host": HOST, "authorization": f"Bearer {services.credentials.key}"}
    assert ask("GET", path, headers)[0] == 400


@pytest.mark.parametrize("name", [
    ".hidden", "-x", "con", "NUL.txt", "a:b", "a.", "a ", "x" * 101, "a..b", "\u202ea", "a\nb",
    "$(id)", "a;b",
])  # fmt: skip
def test_names_outside_the_allowlist_lead_nowhere(services: Any, ask: Any, name: str) -> None:
    from urllib.parse import quote

    headers = {"host": HOST, "authorization": f"Bearer {services.credentials.key}"}
    for method, path in (
        ("GET", f"/api/v1/runs/{quote(name)}"), ("DELETE", f"/api/v1/runs/{quote(name)}"),
        ("PUT", f"/api/v1/texts/{quote(name)}"),
        ("GET", f"/api/v1/texts/{quote(name)}/statistics"),
    ):  # fmt: skip
        assert ask(method, path, headers, b"text")[0] in (400, 404), path
    assert not (services.workspace.root / "texts").exists() or not list(
        (services.workspace.root / "texts").iterdir()
    )


def test_bodies_are_refused_before_they_are_read(services: Any, ask: Any) -> None:
    headers = {"host": HOST, "authorization": f"Bearer {services.credentials.key}",
               "content-type": "application/json"}  # fmt: skip
    announced = headers | {"content-length": str(MAX_BODY_BYTES + 1)}
    assert ask("POST", "/api/v1/plan", announced)[0] == 413
    assert ask("POST", "/api/v1/plan", headers | {"content-length": "-1"})[0] == 413
    # Without an announcement the bytes are counted as they come.
    assert ask("POST", "/api/v1/plan", headers, b"x" * (MAX_BODY_BYTES + 1), chunks=40)[0] == 413
    assert ask("GET", "/api/v1/runs", headers, b"x")[0] in (200, 413)
    deep = b'{"text": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    status, _, content = ask("POST", "/api/v1/plan", headers, deep)
    assert status in (400, 422)
    assert json.loads(content)["error"]["message"]


def test_other_methods_and_websockets_are_refused(services: Any, ask: Any, gate: Any) -> None:
    headers = {"host": HOST, "origin": ORIGIN,
               "authorization": f"Bearer {services.credentials.key}"}  # fmt: skip
    for method in ("OPTIONS", "PATCH", "TRACE", "CONNECT", "PROPFIND"):
        assert ask(method, "/api/v1/runs", headers)[0] == 405
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
    with ThreadPoolExecutor(1) as thread:  # where no other event loop runs
        thread.submit(asyncio.run, gate(scope, receive, send)).result()
    assert [m["type"] for m in sent] == ["websocket.close"]


@pytest.mark.parametrize("body", [
    {"text": "stories", "minutes": -1}, {"text": "stories", "minutes": 1e99}, {"text": 3},
    {"text": "stories", "minutes": 1, "other": 1}, {"text": "x" * 101, "minutes": 1},
    {"text": "stories", "minutes": 1, "settings": {"embed_dim": "many"}},
    {"text": "stories", "settings": {"no_such_key": 1}}, [],
])  # fmt: skip
def test_bodies_that_are_not_as_documented_start_nothing(
    services: Any, ask: Any, body: Any
) -> None:
    headers = {"host": HOST, "authorization": f"Bearer {services.credentials.key}",
               "content-type": "application/json"}  # fmt: skip
    status, _, content = ask("POST", "/api/v1/runs", headers, json.dumps(body).encode())
    assert status == 422
    assert json.loads(content)["error"]["message"]
    assert services.jobs.all() == []


def test_a_setting_cannot_name_a_file_to_write_or_read(services: Any, ask: Any) -> None:
    headers = {"host": HOST, "authorization": f"Bearer {services.credentials.key}",
               "content-type": "application/json"}  # fmt: skip
    for key in ("corpus_dir", "save_dir", "vocab_path", "teachers"):
        body = {"text": "stories", "settings": {key: "/etc/passwd"}}
        status, _, content = ask("POST", "/api/v1/runs", headers, json.dumps(body).encode())
        assert status == 422, key
        assert key in json.loads(content)["error"]["message"]
