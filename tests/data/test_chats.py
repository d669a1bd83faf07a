"""Conversations of every shape: one document each, turns in order, nothing but what was said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from descend.config import make_config
from descend.data.cached_encoder import make_encoder, splits_on_whitespace, token_id_dtype
from descend.data.prepare import prepare_documents
from descend.data.readers import read_file
from descend.data.readers.chats import MARKERS, conversation_text
from descend.data.tokenizer import load_tokenizer, train_tokenizer

QUESTION, ANSWER = "How are\nyou today?", "Fine, thanks. https://x.example"
EXPECTED = f"<|user|>\n{QUESTION}\n<|assistant|>\n{ANSWER}\n"
PLAIN = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
SHARED = [{"from": "human", "value": QUESTION}, {"from": "gpt", "value": ANSWER}]
PARTS = [
    {
        "role": "user",
        "content": [{"type": "image", "url": "x"}, {"type": "text", "text": QUESTION}],
    },
    {"role": "assistant", "content": [{"type": "text", "text": ANSWER}]},
]
GEMINI = [{"role": "user", "parts": [{"text": QUESTION}]}, {"role": "model", "parts": [ANSWER]}]
SHAPES: dict[str, Any] = {
    "messages": {"messages": PLAIN},
    "messages and an id": {"id": "7", "messages": PLAIN, "url": "https://x.example/1"},
    "conversations": {"id": "7", "conversations": SHARED},
    "a list of turns": PLAIN,
    "parts": {"messages": PARTS},
    "model": {"contents": None, "messages": GEMINI},
    "prompt": {"prompt": QUESTION, "completion": ANSWER, "source": "web"},
    "alpaca": {"instruction": QUESTION, "input": "", "output": ANSWER, "text": "rendered"},
    "question": {"meta": {"url": "https://x"}, "data": {"question": QUESTION, "answer": ANSWER}},
    "preference": {"prompt": QUESTION, "chosen": PLAIN, "rejected": SHARED},
    "strings": {"dialog": [QUESTION, ANSWER]},
    "export": {
        "title": "t",
        "current_node": "c",
        "mapping": {
            "a": {"message": None, "parent": None},
            "b": {"message": {"author": {"role": "user"}, "content": {"parts": [QUESTION]}},
                  "parent": "a"},
            "c": {"message": {"author": {"role": "assistant"}, "content": {"parts": [ANSWER]}},
                  "parent": "b"},
        },
    },
}  # fmt: skip


def texts(path: Path) -> list[str]:
    return [document.text for document in read_file(path)]


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_gives_one_document_a_conversation(shape: str, tmp_path: Path) -> None:
    record = SHAPES[shape]
    lines = "".join(json.dumps(record) + "\n" for _ in range(5))
    (tmp_path / "a.jsonl").write_text(lines)
    assert texts(tmp_path / "a.jsonl") == [EXPECTED] * 5
    (tmp_path / "a.json").write_text(json.dumps([record] * 5))
    assert texts(tmp_path / "a.json") == [EXPECTED] * 5
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps(record, indent=2) for _ in range(5)))
    assert texts(tmp_path / "b.jsonl") == [EXPECTED] * 5


def test_conversation_text_keeps_the_order_when_roles_are_unusual() -> None:
    turns = [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": None, "tool_calls": []}, {"role": "tool", "content": "4"},
        {"role": "assistant", "content": "4."},
    ]  # fmt: skip
    assert conversation_text({"messages": turns}) == (
        "<|system|>\nBe brief.\n<|user|>\n2+2?\n<|tool|>\n4\n<|assistant|>\n4.\n"
    )
    assert conversation_text({"system": "S", "question": "Q", "context": "C", "answers":
                              {"text": ["A", "B"]}}) == (
        "<|system|>\nS\n<|user|>\nQ\n\nC\n<|assistant|>\nA\n"
    )  # fmt: skip
    spoken = [{"speaker": "Alice", "text": "Hi"}, {"speaker": "Bob", "text": "Ho"}]
    assert conversation_text({"dialogue": spoken}) == "Alice: Hi\nBob: Ho\n"
    assert conversation_text({"prompt": "Say <|assistant|>", "response": "no"}) == (
        "<|user|>\nSay <assistant>\n<|assistant|>\nno\n"
    )


@pytest.mark.parametrize(
    "record",
    [{"text": "a story"}, {"title": "t", "body": "b"}, ["one", "two"], "text", {"prompt": "only"},
     {"author": "Jane", "text": "a post"}, {"messages": []}, {"history": 3}, {"output": "x"}],
)  # fmt: skip
def test_what_is_no_conversation_is_taken_for_none(record: object) -> None:
    assert conversation_text(record) is None


def test_loose_turns_are_put_together(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(PLAIN * 3))
    assert texts(path) == [EXPECTED * 3], "a short list is one conversation"
    with_ids = [{**turn, "conversation_id": n} for n in range(3) for turn in PLAIN]
    path.write_text(json.dumps(with_ids))
    assert texts(path) == [EXPECTED] * 3
    with_system = [{"role": "system", "content": "S"}, *PLAIN] * 20
    path.write_text(json.dumps(with_system))
    assert texts(path) == ["<|system|>\nS\n" + EXPECTED] * 20
    assert not caplog.messages
    path.write_text(json.dumps(SHARED * 40))
    assert texts(path) == [EXPECTED] * 40
    assert "each exchange read as a document" in caplog.text


def test_tables_of_conversations_are_read(tmp_path: Path) -> None:
    table = pa.table({"id": ["x"] * 4, "messages": [PLAIN] * 4, "score": [1] * 4})
    pq.write_table(table, tmp_path / "a.parquet")
    assert texts(tmp_path / "a.parquet") == [EXPECTED] * 4
    (tmp_path / "a.csv").write_text("id,Prompt,Response\n1,How are you?,Fine\n2,What?,No\n")
    assert texts(tmp_path / "a.csv") == [
        "<|user|>\nHow are you?\n<|assistant|>\nFine\n", "<|user|>\nWhat?\n<|assistant|>\nNo\n",
    ]  # fmt: skip


def test_ids_urls_and_dates_are_no_text(tmp_path: Path) -> None:
    record = {
        "id": "abc", "userId": "jane", "page_url": "x.y", "Title": "The fox", "more": ["ran away"],
        "seen": "https://x.example/a?b=c", "when": "2024-01-02T03:04:05Z", "n": "1,234",
        "key": "123e4567-e89b-12d3-a456-426614174000", "blob": "QUJD" * 40,
        "meta": {"note": "internal"},
    }  # fmt: skip
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    assert texts(tmp_path / "a.jsonl") == ["The fox\nran away"]


def test_the_split_is_by_conversation(tmp_path: Path) -> None:
    lines = []
    for n in range(40):
        turns = [{"role": role, "content": f"{role} says {n} and {turn}"} for turn in range(3)
                 for role in ("user", "assistant")]  # fmt: skip
        lines.append(json.dumps({"messages": turns}))
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    text = prepare_documents(make_config({"corpus_dir": str(tmp_path / "a.jsonl")}))
    assert text.split.method == "documents"
    for start, end in text.split.validation.tolist():
        validation = text.documents.bytes(start, end).decode()
        assert validation.startswith("<|user|>\nuser says")
        assert validation.count("<|user|>") == 3


@pytest.mark.parametrize("kind", ["bpe", "char"])
def test_the_tokenizer_knows_the_markers(kind: Any, tmp_path: Path) -> None:
    text = EXPECTED * 30
    trained = train_tokenizer(kind, 300, lambda: iter([text]))
    (tmp_path / "tokenizer.json").write_bytes(trained.to_bytes())
    tokenizer = load_tokenizer(tmp_path)
    ids = tokenizer.encode(text)
    assert tokenizer.knows_roles
    assert tokenizer.vocab_size <= 300 or kind == "char"
    assert ids.count(tokenizer.backend.token_to_id("<|user|>")) == 30
    assert tokenizer.decode(ids) == text
    assert tokenizer.byte_lengths[ids].sum() == len(text.encode())
    assert splits_on_whitespace(tokenizer) == (kind == "bpe")
    fast = np.frombuffer(make_encoder(tokenizer)([text])[0], token_id_dtype(tokenizer))
    assert fast.tolist() == ids
    plain = train_tokenizer(kind, 300, lambda: iter(["no chat at all"]))
    assert not any(plain.backend.token_to_id(marker) for marker in MARKERS)
