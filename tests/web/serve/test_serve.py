"""`descend serve` as a real server, asked by the client of OpenAI."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import descend
from descend.cli.main import run as run_command
from descend.data.readers.chats import MARKERS

pytest.importorskip("starlette", reason="the extra `serve` is not installed")
openai: Any = pytest.importorskip("openai", reason="the client of OpenAI is not installed")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # the client's own
]
CHAT_STOPS = [*(f"\n{marker}" for marker in MARKERS), *MARKERS]
PLAIN = {"greedy": True, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0}


@dataclass
class Server:
    """A server in a process of its own, its client, and the same model in this process."""

    process: subprocess.Popen[str]
    client: Any
    url: str
    key: str
    name: str
    model: descend.api.model.Model


def start(folder: Path, *arguments: str) -> Server:
    process = subprocess.Popen(
        [sys.executable, "-m", "descend", "serve", str(folder), "--port", str(free_port()),
         "--device", "cpu", *arguments],
        stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stderr is not None
    output = ""
    while "OPENAI_API_KEY=" not in output:
        line = process.stderr.readline()
        assert line, output
        output += line
    url = re.findall(r"OPENAI_BASE_URL=(\S+)", output)[0]
    key = re.findall(r"OPENAI_API_KEY=(\S+)", output)[0]
    client = openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=300)
    return Server(process, client, url, key, folder.name, descend.load(folder))


def end(server: Server) -> int:
    """Stop it as Ctrl-C does; its exit code."""
    server.client.close()
    server.process.send_signal(signal.SIGINT)
    exit_code = server.process.wait(280)
    assert server.process.stderr is not None
    server.process.stderr.close()
    return exit_code


def free_port() -> int:
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return int(any_port.getsockname()[1])


@pytest.fixture(scope="module")
def server(trained: Path) -> Iterator[Server]:
    running = start(trained)
    yield running
    assert end(running) in (0, 130)


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a model that knows the markers of roles."""
    folder = tmp_path_factory.mktemp("talk")
    records = [
        {"messages": [{"role": "user", "content": f"who {w}"},
                      {"role": "assistant", "content": f"the {w} cat"}]}
        for w in ("red", "old", "wet", "big", "sad") * 60
    ]  # fmt: skip
    text = folder / "talk.jsonl"
    text.write_text("".join(json.dumps(record) + "\n" for record in records))
    descend.run(
        corpus_dir=str(text), save_dir=str(folder / "talker"), embed_dim=32, num_heads=2,
        num_layers=2, ff_dim=64, max_seq_len=64, seq_len=64, batch_size=8, epoch=3,
        vocab_size=300, precision="float32",
    )  # fmt: skip
    running = start(folder / "talker")
    yield running
    assert end(running) in (0, 130)


def test_models_lists_the_model(server: Server) -> None:
    assert [model.id for model in server.client.models.list()] == [server.name]
    assert server.client.models.retrieve(server.name).owned_by == "descend"


def test_completion_is_what_the_model_writes(server: Server) -> None:
    (expected,) = server.model.complete(["The cat"], 30, **PLAIN)
    answer = server.client.completions.create(
        model=server.name, prompt="The cat", max_tokens=30, temperature=0
    )
    assert answer.choices[0].text == expected.text
    assert answer.choices[0].finish_reason == ("stop" if expected.finish == "end" else "length")
    assert answer.usage.completion_tokens == len(expected.token_ids)
    assert answer.usage.prompt_tokens == len(server.model.tokenizer.encode("The cat"))


def test_several_prompts_give_choices_in_order(server: Server) -> None:
    prompts = ["The cat", "A dog", "The old owl"]
    expected = [server.model.complete([p], 12, **PLAIN)[0].text for p in prompts]
    ids = [server.model.tokenizer.encode(p) for p in prompts]
    for prompt in (prompts, ids):
        answer = server.client.completions.create(
            model=server.name, prompt=prompt, max_tokens=12, temperature=0
        )
        assert [choice.text for choice in answer.choices] == expected


def test_stream_joins_to_the_whole_answer(server: Server) -> None:
    options = {
        "model": server.name, "prompt": "The cat", "max_tokens": 40, "seed": 3, "temperature": 1.2
    }  # fmt: skip
    whole = server.client.completions.create(**options)
    events = list(server.client.completions.create(
        **options, stream=True, stream_options={"include_usage": True}
    ))  # fmt: skip
    assert len(events) > 3
    assert "".join(e.choices[0].text for e in events if e.choices) == whole.choices[0].text
    assert [e.choices[0].finish_reason for e in events if e.choices][-1] is not None
    assert events[-1].usage == whole.usage


def test_seed_decides_the_text(server: Server) -> None:
    def ask(seed: int) -> list[str]:
        answer = server.client.completions.create(
            model=server.name, prompt="The", max_tokens=20, seed=seed, n=2
        )
        return [choice.text for choice in answer.choices]

    assert ask(1) == ask(1) != ask(2)
    assert ask(1)[0] != ask(1)[1]


def test_stop_ends_the_text_before_it(server: Server) -> None:
    whole = server.client.completions.create(
        model=server.name, prompt="The cat", max_tokens=30, temperature=0
    ).choices[0].text  # fmt: skip
    stop = whole[5:8]
    answer = server.client.completions.create(
        model=server.name, prompt="The cat", max_tokens=30, temperature=0, stop=[stop]
    )
    assert answer.choices[0].text == whole[: whole.index(stop)]
    assert answer.choices[0].finish_reason == "stop"


def test_completion_logprobs_are_those_of_the_model(server: Server) -> None:
    import torch

    answer = server.client.completions.create(
        model=server.name, prompt="The cat", max_tokens=4, temperature=0, logprobs=2
    )
    logprobs = answer.choices[0].logprobs
    ids = server.model.tokenizer.encode("The cat")
    with torch.no_grad():
        expected = server.model.network(torch.tensor([ids]))[0, -1].log_softmax(-1)
    assert logprobs.token_logprobs[0] == pytest.approx(float(expected.max()), abs=1e-4)
    assert "".join(logprobs.tokens).startswith(answer.choices[0].text[:2])
    assert [len(top) for top in logprobs.top_logprobs] == [2] * len(logprobs.tokens)
    assert logprobs.text_offset[0] == len("The cat")


def test_chat_answers_and_ends_at_the_next_turn(talker: Server) -> None:
    answer = talker.client.chat.completions.create(
        model=talker.name, messages=[{"role": "user", "content": "who red"}], max_tokens=60,
        temperature=0, logprobs=True, top_logprobs=2,
    )  # fmt: skip
    choice = answer.choices[0]
    assert choice.message.role == "assistant"
    assert "<|" not in choice.message.content
    prompt = "<|user|>\nwho red\n<|assistant|>\n"
    (expected,) = talker.model.complete([prompt], 60, stop=CHAT_STOPS, **PLAIN)
    assert choice.message.content == expected.text
    first = choice.logprobs.content[0]
    assert bytes(first.bytes).decode() == first.token
    assert len(first.top_logprobs) == 2
    events = list(talker.client.chat.completions.create(
        model=talker.name, messages=[{"role": "user", "content": "who red"}], max_tokens=60,
        temperature=0, stream=True,
    ))  # fmt: skip
    assert events[0].choices[0].delta.role == "assistant"
    assert "".join(e.choices[0].delta.content or "" for e in events) == expected.text


def test_chat_is_refused_when_the_model_knows_no_roles(server: Server) -> None:
    with pytest.raises(openai.BadRequestError, match="not trained on conversations"):
        server.client.chat.completions.create(
            model=server.name, messages=[{"role": "user", "content": "hello"}]
        )


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"temperature": -1}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"frequency_penalty": 1.0}, "frequency_penalty"),
        ({"logprobs": 99}, "logprobs"),
        ({"stop": [""]}, "stop"),
        ({"prompt": "The cat sat. " * 50}, "context of this model"),
        ({"prompt": [99999]}, "token ids"),
        ({"extra_body": {"max_tokens": "many"}}, "max_tokens"),
    ],
)
def test_bad_request_names_the_field(server: Server, fields: dict[str, Any], part: str) -> None:
    options = {"model": server.name, "prompt": "The"} | fields
    with pytest.raises(openai.BadRequestError, match=part):
        server.client.completions.create(**options)


def test_unknown_model_is_refused(server: Server) -> None:
    with pytest.raises(openai.NotFoundError, match="expected finished, but found gpt-4"):
        server.client.completions.create(model="gpt-4", prompt="The")


def test_wrong_key_is_refused(server: Server) -> None:
    stranger = openai.OpenAI(base_url=server.url, api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError, match="Send the key"):
        stranger.models.list()
    with pytest.raises(openai.AuthenticationError, match="Send the key"):
        stranger.completions.create(model=server.name, prompt="The")


def test_gate_refuses_other_hosts_and_pages(server: Server) -> None:
    host, port = server.url.split("//")[1].split("/")[0].split(":")

    def status(headers: dict[str, str]) -> int:
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        connection.request(
            "GET", "/v1/models", headers={"Authorization": f"Bearer {server.key}"} | headers
        )
        return connection.getresponse().status

    assert status({}) == 200
    assert status({"Host": f"evil.example:{port}"}) == 421
    assert status({"Origin": "http://evil.example"}) == 403


def test_64_clients_at_once_are_all_answered(server: Server) -> None:
    def ask(n: int) -> str:
        events = server.client.completions.create(
            model=server.name, prompt=f"The cat {n}", max_tokens=24, temperature=0, stream=True
        )
        return "".join(event.choices[0].text for event in events)

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(ask, range(64)))
    expected = [server.model.complete([f"The cat {n}"], 24, **PLAIN)[0].text for n in range(64)]
    assert answers == expected


def test_client_that_leaves_frees_its_place(trained: Path) -> None:
    running = start(trained, "--max-batch", "1")
    try:
        stream = running.client.completions.create(
            model=running.name, prompt="The", max_tokens=16000, stream=True
        )
        next(iter(stream))
        stream.close()
        answer = running.client.completions.create(
            model=running.name, prompt="The", max_tokens=3, timeout=60
        )
        assert answer.usage.completion_tokens <= 3
    finally:
        assert end(running) in (0, 130)


def test_port_in_use_is_one_sentence(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert run_command(["serve", str(trained), "--port", str(port), "--device", "cpu"]) == 2
    assert "--port: expected an address that is free" in capsys.readouterr().err


def test_short_key_is_refused(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESCEND_API_KEY", "short")
    assert run_command(["serve", str(trained), "--device", "cpu"]) == 2
    assert "DESCEND_API_KEY: expected at least 16 characters" in capsys.readouterr().err
