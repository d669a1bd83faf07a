"""Words looked up have the ids that the tokenizer gives them within their text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import models, pre_tokenizers

from descend.data import cached_encoder
from descend.data.cached_encoder import make_encoder, splits_on_whitespace, token_id_dtype
from descend.data.tokenizer import END_OF_TEXT, Tokenizer, TokenizerKind, train_tokenizer

TEXT = "Der Käse – 日本語 und 😀 emoji's.\r\n\tTabs  and   spaces\n\n it's 1 2 33 _x_ (y) " * 40
# Everything that Python or Unicode ever called white space or a separator, and what stands around.
SPACES = "".join(map(chr, [*range(0x21), 0x7F, 0x85, 0xA0, 0x1680, 0x180E, *range(0x2000, 0x2010),
                           *range(0x2028, 0x2030), 0x205F, 0x2060, 0x3000, 0xFEFF]))  # fmt: skip
TEXTS = st.one_of(
    st.text(st.sampled_from(SPACES + "   \n\n'sé1-x")),
    st.text(st.characters(exclude_categories=["Cs"])),
)


@pytest.fixture(scope="module", params=["bpe", "char", "byte"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    kind: TokenizerKind = request.param
    return train_tokenizer(kind, 400, lambda: iter([TEXT]))


def ids_of(encoded: list[bytes], tokenizer: Tokenizer) -> list[list[int]]:
    return [np.frombuffer(ids, token_id_dtype(tokenizer)).tolist() for ids in encoded]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # beside other programs
@given(texts=st.lists(TEXTS, max_size=4), max_known=st.sampled_from([3, 10, 10_000]),
       max_known_length=st.sampled_from([1, 4, 32]))  # fmt: skip
def test_it_gives_the_ids_of_the_tokenizer(
    tokenizer: Tokenizer, texts: list[str], max_known: int, max_known_length: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cached_encoder, "MAX_CACHED_SEGMENTS", max_known)
        patch.setattr(cached_encoder, "MAX_CACHED_WORD_CHARS", max_known_length)
        encode = make_encoder(tokenizer)
        for _ in range(2):  # the second time from what is known
            assert ids_of(encode(texts), tokenizer) == tokenizer.encode_batch(texts)


def test_every_white_space_between_everything(tokenizer: Tokenizer) -> None:
    sides = ["", "a", "1", "!", " ", "\n", "é", "'s"]
    texts = [a + space + b for space in SPACES for a in sides for b in sides]
    assert ids_of(make_encoder(tokenizer)(texts), tokenizer) == tokenizer.encode_batch(texts)


def test_it_does_not_hold_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    batch_sizes: list[int] = []

    class Counting(Tokenizer):
        def encode_batch(self, texts):  # type: ignore[no-untyped-def]
            batch_sizes.append(len(texts))
            return super().encode_batch(texts)

    encode = make_encoder(Counting(train_tokenizer("bpe", 300, lambda: iter([TEXT])).backend))
    encode(["one two three"])
    encode(["two three four", "x" * 100])
    encode(["x" * 100])
    # "two" without a space before it is another word; the long one is not held.
    assert batch_sizes == [3, 2, 1, 1]
    monkeypatch.setattr(cached_encoder, "MAX_CACHED_SEGMENTS", 3)
    encode(["five six seven"])
    encode(["five six seven"])
    assert batch_sizes[4:] == [3, 0]


def test_encoder_does_not_split_text_for_unsupported_tokenizers() -> None:
    fast = FastTokenizer(models.BPE())
    fast.add_special_tokens([END_OF_TEXT])
    assert not splits_on_whitespace(Tokenizer(fast)), "it has no pre-tokenizer"
    for first, known in (
        (pre_tokenizers.ByteLevel(add_prefix_space=False), True),
        (pre_tokenizers.ByteLevel(add_prefix_space=True), False),
        (pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), False),
        (pre_tokenizers.Whitespace(), False),
    ):
        fast.pre_tokenizer = first
        assert splits_on_whitespace(Tokenizer(fast)) is known
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.add_tokens(["two words"])
    assert not splits_on_whitespace(Tokenizer(fast))
