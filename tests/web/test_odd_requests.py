"""Requests that no browser sends, and folders that no studio made: no server error."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from descend.web.studio.app import make_app

from .studio_server import copy_run

HOST = "127.0.0.1:9999"
ORIGIN = f"http://{HOST}"
COOKIE = "descend_studio_9999"

BODIES = {
    "a lone surrogate as value": rb'{"text": "\ud800", "minutes": 1}',
    "a lone surrogate as key": rb'{"text": "stories", "minutes": 1, "\ud800": 1}',
    "a lone surrogate in settings": rb'{"text": "stories", "settings": {"\udfff": "\ud800"}}',
    "a lone surrogate as a setting": rb'{"text": "stories", "settings": {"optimizer": "\ud800"}}',
    "NaN": b'{"text": "stories", "minutes": NaN, "settings": {"dropout_rate": NaN}}',
    "NaN in settings": b'{"text": "stories", "settings": {"dropout_rate": NaN}}',
    "infinity in settings": b'{"text": "stories", "settings": {"learning_rate": -Infinity}}',
    "a number of 5,000 digits": b'{"text": "stories", "minutes": 1' + b"0" * 5000 + b"}",
    "10^400": b'{"text": "stories", "minutes": 1e400, "settings": {"dropout_rate": 1e400}}',
    "10^400 as a whole number": b'{"text":"stories","settings":{"embed_dim":1' + b"0" * 400 + b"}}",
    "a key twice": b'{"text": "stories", "text": 3, "minutes": 1, "minutes": "x"}',
    "deep lists in settings": b'{"text": "stories", "settings": {"schedule": %s}}'
    % (b"[" * 900 + b"]" * 900),
    "deep objects in settings": b'{"text": "stories", "settings": {"schedule": %s1%s}}'
    % (b'{"a":' * 900, b"}" * 900),
    "UTF-16": '{"text": "stories", "minutes": -1}'.encode("utf-16"),
    "UTF-32": '{"text": "stories", "minutes": -1}'.encode("utf-32"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "no UTF-8": b'{"text": "\xff"}',
    "nothing": b"",
    "null": b"null",
    "a form": b"text=stories&minutes=1",
    "a NUL": b'{"text": "a\\u0000b", "prompt": "\\u0000", "tags": ["\\u0000"], "id": "\\u0000"}',
    "true for a number": b'{"text": "stories", "minutes": true, "prediction": true, "token": true}',
    "texts of each kind": json.dumps({
        "text": "a\u202eb\x1b[31m", "prompt": "\x1b", "id": "../..", "tags": ["<script>"],
        "note": "\x9b", "token": -1, "layer": -1, "head": -1, "prediction": -1,
    }).encode(),
    **{f"a lone surrogate as {key}": json.dumps({key: "\ud800"}).encode()
       for key in ("prompt", "id", "note", "name", "password")},
    "a lone surrogate as a tag": json.dumps({"tags": ["\ud800"], "note": "\udfff"}).encode(),
    "a lone surrogate as a note": json.dumps({"tags": [], "note": "\udfff"}).encode(),
}  # fmt: skip

PATHS = (
    "/%c0%ae%c0%ae/", "/static/%c0%af..%c0%afgate.py", "/%u002e%u002e", "/%", "/%zz", "/;a=b",
    "/static/js/main.js/", "/STATIC/js/main.js", "/static/js/main.js;.css", "/static/js/main.js%20",
    "/api/v1/runs/%ff", "/api/v1/runs/%ed%a0%80", "/api/v1/runs/%F0%9F%98%80",
    "/api/v1/runs/" + "%E5%AD%97" * 100, "/api/v1/pages/" + "%E5%AD%97" * 100,
    "/api/v1/lessons/" + "%E5%AD%97" * 100, "/api/v1/texts/" + "%E5%AD%97" * 100 + "/statistics",
    "/api/v1/runs/" + "%E5%AD%97" * 100 + "/curve", "/api/v1/runs/a?points=%ff",
    "/api/v1/runs/compare?run=%00&run=%ff", "/api/v1/runs/compare?run=&run=",
    "/api/v1/runs/compare?" + "run=" + "%E5%AD%97" * 100 + "&run=b",
    "/api/v1/runs/a/curve?points=1e3", "/api/v1/runs/a/curve?points=%D9%A1%D9%A2",
    "/api/v1/trash?id=../..", "/?token=%ff", "/?token=", "/?token=a&token=b", "/?%74oken=x",
)  # fmt: skip


@pytest.fixture
def headers(services: Any) -> dict[str, str]:
    """Of a request that the gate lets through."""
    return {"host": HOST, "authorization": f"Bearer {services.credentials.key}",
            "content-type": "application/json"}  # fmt: skip


def list_operations(services: Any) -> list[tuple[str, str]]:
    """Method and path of each operation of the interface, with names that lead nowhere."""
    paths = make_app(services, COOKIE).openapi()["paths"]
    return [
        (method.upper(), path.replace("{name}", "none").replace("{lesson}", "loss")
         .replace("{file}", "a.txt"))
        for path, operations in paths.items() for method in operations
    ]  # fmt: skip


@pytest.mark.parametrize("kind", BODIES)
def test_each_route_refuses_a_body_when_it_is_no_request(
    services: Any, ask: Any, headers: dict[str, str], kind: str
) -> None:
    tried = 0
    for method, path in list_operations(services):
        if method not in ("POST", "PUT") or path.startswith(
            ("/api/v1/texts/", "/api/v1/checks/files/")
        ):
            continue
        status, _, content = ask(method, path, headers, BODIES[kind])
        assert status in (400, 404, 409, 422), (method, path, status, content)
        assert json.loads(content)["error"]["message"]
        tried += 1
    assert tried > 15
    assert services.jobs.all() == []


@pytest.mark.parametrize("path", PATHS)
def test_no_path_meets_a_server_error(ask: Any, headers: dict[str, str], path: str) -> None:
    for method in ("GET", "HEAD", "DELETE", "PUT", "POST"):
        assert ask(method, path, headers)[0] < 500, method


@pytest.mark.parametrize("name", ["%E5%AD%97" * 100, "a" + "%F0%9D%92%B3" * 70])
def test_text_with_a_name_too_long_for_a_disk_is_refused(
    services: Any, ask: Any, headers: dict[str, str], name: str
) -> None:
    for path in (f"/api/v1/texts/{name}", f"/api/v1/texts/a/files/{name}",
                 f"/api/v1/texts/{name}/files/a.txt"):  # fmt: skip
        status, _, content = ask("PUT", path, headers, b"A text.\n")
        assert status == 404, (path, status, content)
    texts = services.workspace.texts
    assert not texts.exists() or not any(p.is_file() for p in texts.rglob("*"))


def test_upload_writes_nothing_elsewhere_when_texts_is_a_link(
    services: Any, ask: Any, headers: dict[str, str], tmp_path: Path
) -> None:
    own = tmp_path / "own"
    (own / "folder").mkdir(parents=True)
    services.workspace.texts.parent.mkdir(parents=True, exist_ok=True)
    services.workspace.texts.symlink_to(own)
    for path in ("/texts/a.txt", "/texts/new/files/a.txt", "/texts/folder/files/a.txt"):
        assert ask("PUT", f"/api/v1{path}", headers, b"A text.\n")[0] == 409, path
    assert [p.name for p in own.rglob("*")] == ["folder"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of other bytes are refused elsewhere")
def test_list_of_runs_stands_when_a_folder_has_an_odd_name(
    services: Any, ask: Any, headers: dict[str, str], trained: Path
) -> None:
    root = services.workspace.root
    copy_run(trained, root, "first")
    for name in (b"bad\xff", b"line\nbreak", b"\x1b[31m", b"[bold]"):
        folder = os.path.join(os.fsencode(root / "models"), name)
        os.mkdir(folder)
        for file in ("run.json", "events.jsonl", "summary.json"):
            source = root / "models" / "first" / file
            Path(os.fsdecode(folder), file).write_bytes(source.read_bytes())
    for path in ("/runs", "/workspace", "/texts", "/trash"):
        status, _, content = ask("GET", f"/api/v1{path}", headers)
        assert status == 200, (path, content)
        rows = json.loads(content).get("runs", [])
        assert {row["name"]: row["state"] for row in rows} == ({
            "first": "finished", r"bad\udcff": "unreadable", "line\nbreak": "unreadable",
            "\x1b[31m": "unreadable", "[bold]": "unreadable",
        } if path == "/runs" else {})  # fmt: skip
