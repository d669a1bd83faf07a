"""Tokens one by one: no character is lost or broken."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from descend.data.tokenizer import Tokenizer, train_tokenizer
from descend.report.html.png import encode_png
from descend.report.html.token_text import END, mark_whitespace, tokens_to_text


@pytest.fixture(scope="module")
def bytewise() -> Tokenizer:
    return train_tokenizer("byte", 257, lambda: iter(["a"]))


def test_bytes_are_joined_until_they_are_characters(bytewise: Tokenizer) -> None:
    text = "aé€😀b"
    ids = [*bytewise.encode(text), bytewise.eos_token_id, *bytewise.encode("c")]
    pieces = list(tokens_to_text(bytewise, ids))
    assert [t for t, _ in pieces] == ["a", "é", "€", "😀", "b", END, "c"]
    assert [p for _, places in pieces for p in places] == list(range(len(ids)))


def test_invalid_utf8_bytes_are_displayed_without_loss(bytewise: Tokenizer) -> None:
    ids = bytewise.encode("😀")[1:] + bytewise.encode("ab") + bytewise.encode("😀")[:2]
    pieces = list(tokens_to_text(bytewise, ids))
    assert [p for _, places in pieces for p in places] == list(range(len(ids)))
    assert "b" in "".join(t for t, _ in pieces)


def test_white_space_is_made_visible() -> None:
    assert mark_whitespace(" a\n\tb") == "␣a↵⇥b"
    assert mark_whitespace("") == "∅"


def test_shade_png_encodes_weights_as_opacity() -> None:
    png = encode_png(np.array([[0.0, 1.0, 0.25]]))
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", png[16:24]) == (3, 1)
    start = png.index(b"IDAT") + 4
    length = struct.unpack(">I", png[start - 8 : start - 4])[0]
    dots = zlib.decompress(png[start : start + length])[1:]
    assert [dots[3], dots[7], dots[11]] == [0, 255, 128]
