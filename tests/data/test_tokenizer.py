"""Text to ids and back, without loss, in any language."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.data import tokenizer as tokenizers
from descend.data.line_chunks import split_at_newlines
from descend.data.tokenizer import (
    END_OF_TEXT,
    Tokenizer,
    TokenizerKind,
    load_tokenizer,
    train_tokenizer,
)
from descend.errors import TokenizerError

TEXT = "Der Käse – 日本語 und 😀 emoji.\r\n\tTabs  and   spaces\n\n" * 40

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(scope="module", params=["bpe", "char", "byte"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    kind: TokenizerKind = request.param
    return train_tokenizer(kind, 400, lambda: iter([TEXT]))


@given(text=ANY_TEXT)
def test_round_trip_loses_nothing(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode_batch([text]) == [ids]


@given(text=ANY_TEXT)
def test_byte_lengths_add_up_to_the_text(tokenizer: Tokenizer, text: str) -> None:
    assert int(tokenizer.byte_lengths[tokenizer.encode(text)].sum()) == len(text.encode())


def test_text_cannot_inject_the_end_of_text_token(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(f"before {END_OF_TEXT} after")
    assert tokenizer.eos_token_id not in ids
    assert tokenizer.decode(ids) == f"before {END_OF_TEXT} after"


def test_saved_and_loaded_is_the_same(tokenizer: Tokenizer, own_folder: Path) -> None:
    (own_folder / "tokenizer.json").write_bytes(tokenizer.to_bytes())
    again = load_tokenizer(own_folder)
    text = f"Käse {END_OF_TEXT} 日本"
    assert again.encode(text) == tokenizer.encode(text)
    assert again.fingerprint == tokenizer.fingerprint


def test_bpe_uses_its_vocabulary_and_shortens_the_text() -> None:
    small = train_tokenizer("bpe", 270, lambda: iter([TEXT]))
    large = train_tokenizer("bpe", 295, lambda: iter([TEXT]))
    assert (small.vocab_size, large.vocab_size) == (270, 295)
    assert len(large.encode(TEXT)) < len(small.encode(TEXT)) < len(TEXT.encode())


def test_char_and_byte_tokenizers_encode_single_units() -> None:
    char = train_tokenizer("char", 0, lambda: iter(["abcä"]))
    assert len(char.encode("abcä")) == 4
    assert len(char.encode("ö")) == 2  # never seen: its two bytes
    byte = train_tokenizer("byte", 0, lambda: iter([]))
    assert len(byte.encode("abcä")) == 5
    assert byte.vocab_size == 257


def test_training_is_deterministic() -> None:
    one, two = (train_tokenizer("bpe", 350, lambda: iter([TEXT])).fingerprint for _ in range(2))
    assert one == two


@pytest.mark.parametrize("content", [None, "{", "[]", '{"model": {"type": "BPE"}}'])
def test_a_bad_vocabulary_file_is_named(own_folder: Path, content: str | None) -> None:
    path = own_folder / "vocabulary.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TokenizerError, match=r"vocabulary\.json") as caught:
        load_tokenizer(path)
    assert "\n" not in str(caught.value)


@given(ANY_TEXT, st.integers(1, 20))
def test_line_chunks_rejoin_to_the_text(text: str, length: int) -> None:
    pieces = list(split_at_newlines(text, length))
    assert "".join(pieces) == text
    assert all(0 < len(p) <= length for p in pieces)


def test_line_chunks_end_after_newlines() -> None:
    assert list(split_at_newlines("ab\ncd\nefgh", 5)) == ["ab\n", "cd\n", "efgh"]
    assert np.array_equal([len(p) for p in split_at_newlines("x" * 12, 5)], [5, 5, 2])


def test_tokenizer_training_sample_is_limited_in_bytes() -> None:
    taken = "".join(tokenizers._some(iter(["日本語\n" * 10] * 9), 250))
    assert len(taken.encode()) == 300


THREADS_SCRIPT = """
import os, resource
from pathlib import Path
from descend.data.tokenizer import train_tokenizer
from descend.errors import TokenizerError

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # so that no thread is there before the limit
tokenizer = train_tokenizer("byte", 257, lambda: iter(["a b"]))
os.environ["TOKENIZERS_PARALLELISM"] = "true"
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 1_500_000,) * 2)  # less than the stack of a thread
try:
    tokenizer.encode_batch(["a b"] * 10)
except TokenizerError as problem:
    print(problem)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_AS and /proc")
def test_encode_batch_names_the_threads_when_none_can_be_started() -> None:
    variables = {"RAYON_NUM_THREADS": "4"}
    done = subprocess.run(
        [sys.executable, "-c", THREADS_SCRIPT], env=os.environ | variables,
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert "found no more threads that the system allows" in done.stdout
    assert "damaged" not in done.stdout
