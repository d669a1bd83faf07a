"""Models go to a hub: to a server here that speaks as much of its interface as an upload needs."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from descend.cli.main import run as run_command
from descend.errors import RunFolderError
from descend.interop.hub import model_files


class Hub(BaseHTTPRequestHandler):
    """Makes repositories, and takes each file in its commit."""

    created: ClassVar[list[dict[str, Any]]] = []
    files: ClassVar[dict[str, bytes]] = {}

    def _reply(self, content: Any, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        """The body of a request, whose length is announced or which comes in chunks."""
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def do_GET(self) -> None:
        self._reply({"id": "me/model", "sha": "0" * 40, "siblings": [], "private": True})

    def do_POST(self) -> None:
        body = self._body()
        if self.headers.get("Authorization") != "Bearer hf_test":
            self._reply({"error": "Invalid username or password."}, 401)
        elif self.path == "/api/repos/create":
            self.created.append(json.loads(body))
            self._reply({"url": f"http://{self.headers['Host']}/me/model"})
        elif self.path == "/api/validate-yaml":  # of the model card
            self._reply({"errors": [], "warnings": []})
        elif self.path.endswith("/preupload/main"):
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            self._reply({"files": files})
        else:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    value = entry["value"]
                    self.files[value["path"]] = base64.b64decode(value["content"])
            self._reply({
                "commitUrl": f"http://{self.headers['Host']}/me/model/commit/{'0' * 40}",
                "commitOid": "0" * 40, "success": True, "hookOutput": "",
            })  # fmt: skip

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    Hub.created.clear()
    Hub.files.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def push(hub: str, folder: Path, token: str = "hf_test") -> subprocess.CompletedProcess[str]:
    """`descend push` in a process of its own: the address is read when the package is imported."""
    environment = os.environ | {"HF_ENDPOINT": hub, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run(
        [sys.executable, "-m", "descend", "push", str(folder), "me/model", "--json"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


def test_push_uploads_the_model_and_no_records(hub: str, trained: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="the extra `hub` is not installed")
    done = push(hub, trained)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["private"] is True
    assert Hub.created[0].get("private") or Hub.created[0]["visibility"] == "private"
    assert sorted(Hub.files) == [
        "README.md", "config.json", "generation_config.json", "model.safetensors",
        "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    assert {n: (trained / n).read_bytes() for n in Hub.files} == Hub.files


def test_refused_push_is_one_sentence(hub: str, trained: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="the extra `hub` is not installed")
    done = push(hub, trained, token="hf_wrong")
    assert done.returncode == 1
    assert "me/model: expected an upload that the hub takes" in json.loads(done.stdout)["error"][
        "message"
    ]  # fmt: skip
    assert Hub.files == {}


def test_push_without_a_connection_names_the_network(trained: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="the extra `hub` is not installed")
    done = push("http://127.0.0.1:9", trained)  # nothing listens there
    assert done.returncode == 1
    message = json.loads(done.stdout)["error"]["message"]
    assert "expected a connection to the hub" in message
    assert "Log in" not in message


def test_push_of_an_export_takes_its_files(tmp_path: Path) -> None:
    for name in ("a-q8_0.gguf", "README.md", "notes.txt"):
        (tmp_path / name).write_text("x")
    assert model_files(tmp_path) == ["README.md", "a-q8_0.gguf"]


def test_folder_without_a_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunFolderError, match="no model"):
        model_files(tmp_path)
    assert run_command(["push", str(tmp_path), "me/model"]) == 2
    assert "model" in capsys.readouterr().err
