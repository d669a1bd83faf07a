"""Made-up bodies for `descend serve`: an answer or a sentence, never an internal error."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("starlette", reason="the extra `serve` is not installed")

import descend
from descend.web.credentials import Credentials
from descend.web.serve.app import ServedModel, make_gated_app
from descend.web.serve.engine import Engine

HOST, KEY = "127.0.0.1:9999", "a key of 21 characters"
SHORT, LONG = 40, 2000
"""Requests to each route."""

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
TEXT = st.text(max_size=30)
SMALL = st.integers(-2, 4)
OPTIONAL = {
    "temperature": st.floats(-1, 3) | ANY, "top_p": st.floats(-1, 2) | ANY, "n": SMALL | ANY,
    "stop": TEXT | st.lists(TEXT, max_size=3) | ANY, "seed": st.integers() | ANY,
    "stream": st.booleans() | ANY, "stream_options": st.just({"include_usage": True}) | ANY,
    "max_tokens": SMALL | ANY, "top_k": SMALL | ANY, "min_p": st.floats(-1, 2) | ANY,
    "repetition_penalty": st.floats(-1, 3) | ANY, "logprobs": SMALL | st.booleans() | ANY,
    "top_logprobs": SMALL | ANY, "max_completion_tokens": SMALL | ANY, "echo": ANY, "user": ANY,
}  # fmt: skip
PROMPT = TEXT | st.lists(TEXT, max_size=3) | st.lists(st.integers(-1, 400), max_size=5) | ANY
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": TEXT | st.just("user"), "content": TEXT | ANY}), max_size=3
)
BODIES = {
    "/v1/completions": st.fixed_dictionaries(
        {"model": st.just("finished")}, optional=OPTIONAL | {"prompt": PROMPT}
    ),
    "/v1/chat/completions": st.fixed_dictionaries(
        {"model": st.just("finished")}, optional=OPTIONAL | {"messages": MESSAGES | ANY}
    ),
}


async def post(app: Any, path: str, body: bytes) -> tuple[int, bytes]:
    """One request of a client that waits for the whole answer."""
    headers = [(b"host", HOST.encode()), (b"authorization", f"Bearer {KEY}".encode())]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 9999),
        "headers": headers,
    }  # fmt: skip
    messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    messages.put_nowait({"type": "http.request", "body": body, "more_body": False})
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await asyncio.wait_for(app(scope, messages.get, send), 300)
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


def send_made_up_bodies(trained: Path, path: str, count: int) -> Counter[int]:
    """Send `count` bodies to the route `path`; how often each status came back."""
    model = descend.load(trained)
    engine = Engine(model.network, model.tokenizer, model.trained_context)
    served = ServedModel("finished", model.tokenizer, model.trained_context, 0)
    app = make_gated_app(engine, served, Credentials(key=KEY), frozenset({HOST}))
    loop = asyncio.new_event_loop()
    statuses: Counter[int] = Counter()

    async def start() -> None:
        engine.start()

    @settings(max_examples=count, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(body=BODIES[path])
    def send(body: dict[str, Any]) -> None:
        status, content = loop.run_until_complete(post(app, path, json.dumps(body).encode()))
        statuses[status] += 1
        assert status in (200, 400), (body, status, content[:300])
        if status == 400:
            assert json.loads(content)["error"]["message"]
        elif not body.get("stream"):
            assert all(math.isfinite(c["index"]) for c in json.loads(content)["choices"])

    loop.run_until_complete(start())
    try:
        send()
    finally:
        engine.stop()
        loop.close()
    return statuses


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("path", BODIES)
def test_made_up_bodies_get_no_internal_error(trained: Path, path: str) -> None:
    # In a thread of its own: the loop of a browser test may still run in this one.
    with ThreadPoolExecutor(1) as thread:
        statuses = thread.submit(send_made_up_bodies, trained, path, SHORT)
    assert sum(statuses.result().values()) >= SHORT


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("path", BODIES)
def test_many_made_up_bodies_get_no_internal_error(trained: Path, path: str) -> None:
    statuses = send_made_up_bodies(trained, path, LONG)
    assert sum(statuses.values()) >= LONG
    assert statuses[400]
    assert statuses[200] or path == "/v1/chat/completions", "this model knows no roles"
