"""transformers renders a conversation as the text that descend trains on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from descend import run
from descend.data.readers.chats import conversation_text

TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "How are\nyou today? "},
    {"role": "assistant", "content": "Fine, thanks."},
    {"role": "user", "content": "2 + 2?"},
]


def test_the_saved_tokenizer_renders_chats_as_they_were_read(
    tmp_path: Path, tiny: dict[str, object]
) -> None:
    transformers = pytest.importorskip("transformers")
    lines = [json.dumps({"messages": [*TURNS, {"role": "assistant", "content": str(n)}]})
             for n in range(120)]  # fmt: skip
    (tmp_path / "chats.jsonl").write_text("\n".join(lines), encoding="utf-8")
    model = run({**tiny, "corpus_dir": str(tmp_path / "chats.jsonl"), "epoch": 1})
    tokenizer = transformers.AutoTokenizer.from_pretrained(model.folder)
    text = tokenizer.apply_chat_template(TURNS, tokenize=False)
    assert text == conversation_text({"messages": TURNS})
    prompt = tokenizer.apply_chat_template(TURNS, tokenize=False, add_generation_prompt=True)
    assert prompt == text + "<|assistant|>\n"
    assert model.tokenizer.knows_roles
    # The ids are ours only where the markers are one token each, as they are in training.
    ids = tokenizer(text, split_special_tokens=False, add_special_tokens=False)["input_ids"]
    assert ids == model.tokenizer.encode(text)
