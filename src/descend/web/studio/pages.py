"""The page's own files, read once, and the door for who has no session yet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from descend.report.html.echarts import SCRIPT_FILE
from descend.web.gate import session_cookie
from descend.web.studio.services import Services

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class StaticFile:
    """A file of the page in memory."""

    def __init__(self, name: str, content: bytes) -> None:
        self.content = content
        self.media_type = TYPES["." + name.rpartition(".")[2]]
        self.tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def load_static_files() -> dict[str, StaticFile]:
    """Return every file of the page by its path below /static/, and the script that reports
    carry."""
    folder = files("descend.web.studio") / "static"
    names = {name: item.read_bytes() for name, item in _walk(folder, "")}
    echarts = files("descend.report.html") / "vendor" / SCRIPT_FILE
    names[f"vendor/{SCRIPT_FILE}"] = echarts.read_bytes()
    return {name: StaticFile(name, content) for name, content in names.items()}


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _walk(item, f"{prefix}{item.name}/")
        elif "." + item.name.rpartition(".")[2] in TYPES:
            yield prefix + item.name, item


def page_routes(services: Services, cookie: str) -> APIRouter:
    """Return `/`, `/static/…`, and `/login` where a password opens the studio."""
    router = APIRouter(include_in_schema=False)
    static = load_static_files()
    credentials = services.credentials

    @router.get("/")
    def index() -> Response:
        return Response(static["index.html"].content, media_type=TYPES[".html"])

    @router.get("/static/{path:path}")
    def static_file(path: str, request: Request) -> Response:
        file = static.get(path)
        if file is None:
            return Response(status_code=404)
        headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == file.tag:
            return Response(status_code=304, headers=headers)
        return Response(file.content, media_type=file.media_type, headers=headers)

    @router.get("/login")
    def login_page() -> Response:
        return Response(door(credentials.has_password, False), media_type=TYPES[".html"])

    @router.post("/login")
    async def login(request: Request) -> Response:
        fields = parse_qs((await request.body()).decode("utf-8", errors="replace"))
        session = credentials.log_in(fields.get("password", [""])[0])
        if session is None:
            page = door(credentials.has_password, True)
            return Response(page, 403, media_type=TYPES[".html"])
        response = RedirectResponse("/", 303)
        response.headers["Set-Cookie"] = session_cookie(cookie, session).decode()
        return response

    return router


def door(has_password: bool, is_wrong: bool) -> str:
    """Return the page for who has no session: where the link stands, or a field for the
    password."""
    wrong = (
        '<p class="note bad" role="alert">That was not right. After five wrong tries wait a minute.'
        "</p>"
    )
    form = (
        '<form method="post" action="/login" class="stack"><div><label for="password">Password'
        '</label><input id="password" type="password" name="password" '
        'autocomplete="current-password" required></div><button class="main">Open</button></form>'
    )
    link = (
        '<p class="sentence">Open the newest link that the terminal shows. Each link works once.'
        "</p>"
    )
    body = (wrong if is_wrong else "") + (form if has_password else link)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width, initial-scale=1"><title>descend studio</title>'
        '<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" href="/static/studio.css">'
        f'<main><div class="card stack"><h1>descend studio</h1>{body}</div></main></html>'
    )
