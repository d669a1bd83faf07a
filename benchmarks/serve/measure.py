"""How many tokens a second `descend serve` gives to one client and to 64 at once.

    python benchmarks/serve/measure.py RESULT.json

The model has the sizes of the default configuration and random weights. Server and clients are two
processes on this machine. Each round measures one client, then 64; the ratio is that of the round.
A client asks `REQUESTS` times, one request after the other, for `TOKENS` tokens. Times are of the
machine and of what else it did (see `load_average`).
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch

from descend.config import RunConfig
from descend.data.tokenizer import train_tokenizer
from descend.machine import cpu_name, package_versions
from descend.model.initialization import initialize
from descend.model.shape import shape_from_run_config
from descend.model.transformer import Transformer
from descend.runs.model_files import save_model

ROUNDS, CLIENTS, REQUESTS, TOKENS = 5, 64, 2, 64
KEY = "measure-the-server-of-descend"


def make_model(folder: Path) -> Path:
    """A model folder of the default sizes, with weights as at the start of training."""
    tokenizer = train_tokenizer("bpe", 4096, lambda: iter(texts()))
    model = Transformer(shape_from_run_config(RunConfig(), tokenizer.vocab_size)).eval()
    initialize(model, 1)
    save_model(folder, model, tokenizer)
    return folder


def texts() -> list[str]:
    """Made-up words for a tokenizer: its merges do not matter for the time."""
    generator = torch.Generator().manual_seed(1)
    letters = torch.randint(97, 123, (40_000, 6), generator=generator)
    return [" ".join("".join(map(chr, word)) for word in letters.tolist())]


class Server:
    """`descend serve` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "descend", "serve", str(folder), "--device", "cpu"],
            stderr=subprocess.PIPE, text=True, env=os.environ | {"DESCEND_API_KEY": KEY},
        )  # fmt: skip
        assert self.process.stderr is not None
        output = ""
        while "OPENAI_API_KEY=" not in output:
            output += self.process.stderr.readline()
        self.port = int(re.findall(r"OPENAI_BASE_URL=http://[\d.]+:(\d+)", output)[0])

    def ask(self, model: str, n: int, stream: bool) -> int:
        """Tokens of one answer; an error for one that was dropped."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        body = {
            "model": model, "prompt": f"word number {n}", "max_tokens": TOKENS, "temperature": 1,
            "seed": n, "stream": stream, "stream_options": {"include_usage": True},
        }  # fmt: skip
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/completions", json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise RuntimeError(content)
        if stream:
            *_, usage, end = [line for line in content.split(b"\n\n") if line]
            assert end == b"data: [DONE]"
            content = usage.removeprefix(b"data: ")
        return int(json.loads(content)["usage"]["completion_tokens"])

    def end(self) -> None:
        """Stop it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)


def measure(server: Server, model: str, clients: int, stream: bool) -> dict[str, Any]:
    """Tokens a second for `clients` at once, and how many answers did not come."""
    tokens: list[int] = []
    dropped: list[str] = []

    def client(first: int) -> None:
        for n in range(REQUESTS):
            try:
                tokens.append(server.ask(model, REQUESTS * first + n, stream))
            except Exception as problem:
                dropped.append(repr(problem))

    threads = [threading.Thread(target=client, args=(n,)) for n in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    return {
        "tokens_per_second": round(sum(tokens) / seconds, 1), "tokens": sum(tokens),
        "answers": len(tokens), "dropped": dropped,
    }  # fmt: skip


def main() -> None:
    """Measure both kinds of answer, and write the result."""
    result = Path(sys.argv[1])
    figures: dict[str, Any] = {
        "command": "python benchmarks/serve/measure.py RESULT.json", "machine": cpu_name(),
        "cores": os.cpu_count(), "packages": package_versions(),
        "load_average": os.getloadavg(), "clients": CLIENTS, "requests": REQUESTS,
        "max_tokens": TOKENS,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        folder = make_model(Path(scratch) / "model")
        server = Server(folder)
        try:
            for stream in (False, True):
                measure(server, "model", 1, stream)  # warms the server
                rounds = [
                    {"one": measure(server, "model", 1, stream),
                     "many": measure(server, "model", CLIENTS, stream)}
                    for _ in range(ROUNDS)
                ]  # fmt: skip
                ratios = [
                    r["many"]["tokens_per_second"] / r["one"]["tokens_per_second"] for r in rounds
                ]
                figures["stream" if stream else "whole"] = {
                    "ratio_median": round(statistics.median(ratios), 2),
                    "ratios": [round(ratio, 2) for ratio in ratios],
                    "dropped": sum(len(r[k]["dropped"]) for r in rounds for k in r),
                    "rounds": rounds,
                }  # fmt: skip
        finally:
            server.end()
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
