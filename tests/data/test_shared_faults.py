"""Files that were read wrong once: chats (21), a site (22), and encodings (23), each made small."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from descend.data.contamination.boilerplate import find_boilerplate
from descend.data.readers import read_file

BODY = "It was generally evident whenever they met that he did admire her."
REPLY = "Jane united great strength of feeling with composure of temper."
TURNS = [{"role": "user", "content": BODY}, {"role": "assistant", "content": REPLY}]
SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
SHARED = [{"from": "human", "value": BODY}, {"from": "gpt", "value": REPLY}]
CHAT = f"<|user|>\n{BODY}\n<|assistant|>\n{REPLY}\n"
CHATS: dict[str, tuple[Any, str]] = {
    "alpaca": ({"instruction": BODY, "input": "", "output": REPLY}, CHAT),
    "content_parts": (
        {"messages": [{**t, "content": [{"type": "text", "text": t["content"]}]} for t in TURNS]},
        CHAT,
    ),
    "conversations": ({"id": "0", "conversations": SHARED}, CHAT),
    "flat_turns": (SHARED, CHAT),
    "messages": ({"messages": [SYSTEM, *TURNS]}, f"<|system|>\n{SYSTEM['content']}\n{CHAT}"),
    "question_answer": (
        {"meta": {"url": "https://x.example/0"}, "data": {"question": BODY, "answer": REPLY}},
        CHAT,
    ),
}


def texts_of(path: Path) -> list[str]:
    return [document.text for document in read_file(path)]


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("indent", [None, 2])
def test_fault_21_gives_one_document_a_chat_when_the_shape_is(
    name: str, indent: int | None, tmp_path: Path
) -> None:
    record, expected = CHATS[name]
    path = tmp_path / "chats.jsonl"
    path.write_text("\n".join(json.dumps(record, indent=indent) for _ in range(6)))
    assert texts_of(path) == [expected] * 6


PAGE = """<!doctype html><html><head><title>Page {n}</title><script>var a=1;</script></head><body>
<nav><ul><li><a href='/home'>Home</a></li><li><a href='/docs'>Docs</a></li></ul></nav>
<div class='cookie-banner'>We use cookies and similar technologies to personalise content and to
analyse our traffic. By clicking accept you agree to the storing of cookies on your device.
<button>Accept all</button></div><main><h1>Article {n}</h1><p>{text}</p></main>
<footer>Terms</footer></body></html>"""


def test_fault_22_names_the_banner_that_every_page_of_a_site_holds(tmp_path: Path) -> None:
    pages = []
    for n in range(20):
        path = tmp_path / f"page{n:03}.html"
        own = " ".join(f"word{(n * 31 + k * 7) % 97} and number {n * k}" for k in range(30))
        path.write_text(PAGE.format(n=n, text=own))
        pages += texts_of(path)
    assert all("Home" not in page and "Terms" not in page for page in pages)
    result = find_boilerplate(lambda: pages)
    assert result is not None
    assert result.passages[0].documents == 20
    assert result.passages[0].beginning.startswith("We use cookies")
    assert 0.1 < result.fraction < 0.4


LATIN = "He said “I don’t know” – the café in Curaçao was closed, and the fiancée left.\n"
SPANISH = "El niño comió una manzana en la montaña; ¿dónde está la habitación?\n"
RUSSIAN = "Мой дядя самых честных правил, когда не в шутку занемог.\n"
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n"
CHINESE = "昨天我去商店买了面包和新鲜的苹果，然后回家了。\n"
ENCODED = {
    "cp1251_ru": (RUSSIAN.encode("cp1251"), RUSSIAN),
    "cp1252": (LATIN.encode("cp1252"), LATIN),
    "gbk": (CHINESE.encode("gbk"), CHINESE),
    "koi8_ru": (RUSSIAN.encode("koi8-r"), RUSSIAN),
    "latin1_es": (SPANISH.encode("latin-1"), SPANISH),
    "mixed": ((SPANISH * 40).encode() + (SPANISH * 40).encode("cp1252"), SPANISH * 80),
    "one_line": ((RUSSIAN.strip() * 40).encode("cp1251"), RUSSIAN.strip() * 40),
    "shift_jis": (JAPANESE.encode("shift_jis"), JAPANESE),
    "utf16_bom": (LATIN.encode("utf-16"), LATIN),
    "utf16_nobom_le": ((LATIN * 5).encode("utf-16-le"), LATIN * 5),
    "utf8_bom_crlf": (b"\xef\xbb\xbf" + LATIN.replace("\n", "\r\n").encode(), LATIN),
}  # fmt: skip
SILENT = ("utf16_bom", "utf8_bom_crlf")


@pytest.mark.parametrize("name", ENCODED)
def test_fault_23_reads_each_encoding_and_says_so_when_it_guesses(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data, expected = ENCODED[name]
    path = tmp_path / f"{name}.txt"
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING, "descend"):
        assert "".join(texts_of(path)) == expected
    assert ("read as" in caplog.text) is (name not in SILENT)
