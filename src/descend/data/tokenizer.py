"""Text to token ids and back, without loss, by Hugging Face `tokenizers`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as FastTokenizer

from descend.data.child_check import check_in_child
from descend.data.line_chunks import MAX_UNBROKEN_CHARS, run_pieces, split_at_newlines
from descend.data.readers.chats import MARKERS, ROLES
from descend.data.tokenizer_check import MAX_BYTES, check_tokenizer
from descend.errors import TokenizerError
from descend.guard import read_regular
from descend.limited_process import ProcessLimits

TokenizerKind = Literal["bpe", "char", "byte"]

END_OF_TEXT = "<|endoftext|>"

# A sample of this size fixes the merges of a vocabulary as well as more text does, and keeps
# the memory of training a tokenizer bounded (the trainer counts every distinct word).
TRAINING_BYTES = 64 * 2**20

RUN_BYTES = 2**18
"""Of those, in runs of `MAX_UNBROKEN_CHARS` characters without white space."""


def _byte_characters() -> dict[str, int]:
    """Return the character by which byte-level BPE writes each byte: visible ones stand for
    themselves, the others for those from U+0100 on, in order, as in GPT-2's own code."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in visible]
    codes = [*visible, *range(256, 256 + len(others))]
    return {chr(code): byte for code, byte in zip(codes, [*visible, *others], strict=True)}


_BYTE_OF = _byte_characters()

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
"""How tokenizers that fall back to bytes spell one."""

_SPACE_SIGN = "\u2581"
"""How SentencePiece spells a space."""

END_ROLE, START_ROLE = "descend_end", "descend_start"
"""Names that `model_tokenizer` gives the tokens after and before a text in tokenizer.json."""


@dataclass(frozen=True)
class Tokenizer:
    """A trained tokenizer; `decode(encode(text)) == text` for every text without lone surrogates.

    The text of a special token that happens to stand in the user's own text is encoded as
    ordinary characters: text can never inject the end-of-text token.
    """

    backend: FastTokenizer

    @cached_property
    def vocab_size(self) -> int:
        """Number of ids, special ones included."""
        return int(self.backend.get_vocab_size(with_added_tokens=True))

    @cached_property
    def end_token(self) -> str:
        """The token that stands between documents."""
        role = self._roles.get(END_ROLE)
        return str(role["tokens"][0]) if role else END_OF_TEXT

    @cached_property
    def start_ids(self) -> tuple[int, ...]:
        """Ids that stand before each text for the model; none with tokenizers of descend."""
        role = self._roles.get(START_ROLE)
        return tuple(role["ids"]) if role else ()

    @cached_property
    def eos_token_id(self) -> int:
        """Id of the end-of-text token that stands between documents."""
        token_id = self.backend.token_to_id(self.end_token)
        if token_id is None:
            raise TokenizerError(
                "tokenizer.json", f"no {self.end_token} token", "a tokenizer made by descend",
                "train one with `descend tokenizer train`",
            )  # fmt: skip
        return int(token_id)

    @cached_property
    def byte_lengths(self) -> NDArray[np.int64]:
        """Bytes of UTF-8 text that each id stands for, (V,); 0 for the end-of-text token."""
        lengths = np.zeros(self.vocab_size, dtype=np.int64)
        for token, index in self.backend.get_vocab(with_added_tokens=True).items():
            if token == self.end_token:
                continue
            # Byte-level BPE writes each byte as one character.
            lengths[index] = len(token) if self._is_byte_level else len(_spelled_bytes(token))
        return lengths

    @cached_property
    def _description(self) -> dict[str, Any]:
        """The content of tokenizer.json."""
        content: dict[str, Any] = json.loads(self.backend.to_str())
        return content

    @property
    def _roles(self) -> dict[str, Any]:
        """The special tokens that the post-processor names."""
        processor = self._description["post_processor"] or {}
        return processor.get("special_tokens") or {}

    @cached_property
    def _is_byte_level(self) -> bool:
        """Return whether a token is spelled with one character for each byte."""
        return "ByteLevel" in json.dumps(self._description["pre_tokenizer"])

    @cached_property
    def _anchor_ids(self) -> list[int]:
        """Ids to decode before others, where the decoder drops a space at the beginning."""
        decoder = json.dumps(self._description["decoder"])
        drops_space = '"Strip"' in decoder or '"Metaspace"' in decoder
        return self.encode("a") if drops_space else []

    def token_bytes(self, token_id: int) -> bytes:
        """UTF-8 bytes that `token_id` stands for, which may be half a character; b"" for the end
        token."""
        if token_id == self.eos_token_id:
            return b""
        token = self.backend.id_to_token(token_id)
        if token is None:
            return b""
        if token in self._added_tokens:
            return token.encode()
        if self._is_byte_level:
            return bytes(_BYTE_OF[character] for character in token)
        return _spelled_bytes(token)

    @cached_property
    def _added_tokens(self) -> frozenset[str]:
        return frozenset(t.content for t in self.backend.get_added_tokens_decoder().values())

    @cached_property
    def knows_roles(self) -> bool:
        """Return whether it has ids for the markers of a user and an assistant."""
        return all(self.backend.token_to_id(f"<|{role}|>") is not None for role in ROLES[1:3])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the tokenizer's own file."""
        return hashlib.sha256(self.backend.to_str().encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Return token ids of `text`, without an end-of-text token."""
        with _no_panic("tokenizer.json"):
            try:
                return list(self.backend.encode(text, add_special_tokens=False).ids)
            except TypeError:  # the library's own words say nothing of the text
                _check_text(text)
                raise

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return `encode` of many texts at once, on all cores."""
        with _no_panic("tokenizer.json"):
            try:
                encodings = self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
            except TypeError:
                for text in texts:
                    _check_text(text)
                raise
        return [e.ids for e in encodings]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`; bytes that are not UTF-8 become U+FFFD, the end token
        nothing."""
        text = [i for i in ids if i != self.eos_token_id]
        with _no_panic("tokenizer.json"):
            decoded = str(self.backend.decode(self._anchor_ids + text, skip_special_tokens=False))
            if not self._anchor_ids:
                return decoded
            anchor = self.backend.decode(self._anchor_ids, skip_special_tokens=False)
            return decoded[len(anchor) :]

    def to_bytes(self) -> bytes:
        """Return what belongs into `tokenizer.json`."""
        return self.backend.to_str(pretty=False).encode()


def _spelled_bytes(token: str) -> bytes:
    """UTF-8 bytes of a token that is spelled in characters, as SentencePiece does."""
    byte = _BYTE_TOKEN.fullmatch(token)
    if byte:
        return bytes([int(byte[1], 16)])
    return token.replace(_SPACE_SIGN, " ").encode()


def _check_text(text: object) -> None:
    """Raise `TokenizerError` for what the tokenizers library refuses in words of its own."""
    if not isinstance(text, str):
        raise TokenizerError(
            "text", f"{text!r} ({type(text).__name__})", "a text (str)", "pass a string"
        )
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise TokenizerError(
            "text", f"bytes that are not UTF-8 at character {problem.start + 1}", "UTF-8 text",
            "type it again, or save the file as UTF-8",
        ) from None  # fmt: skip


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a `tokenizer.json`, or a folder that holds one; `TokenizerError` if it cannot be."""
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise TokenizerError(
            str(file), "no such file", "a tokenizer.json",
            "check the path, or train one with `descend tokenizer train`",
        )  # fmt: skip
    try:
        content = read_regular(file, MAX_BYTES)
    except OSError as problem:
        raise _damaged(str(file), problem) from None
    return parse_tokenizer(content, str(file))


def parse_tokenizer(content: bytes, source: str) -> Tokenizer:
    """Make a tokenizer of the content of a `tokenizer.json`; `TokenizerError` names `source`."""
    try:
        checked = check_tokenizer(content)
        _try_in_child(checked)
        with _no_panic(source):
            fast = FastTokenizer.from_str(checked)
    except TokenizerError:
        raise
    except Exception as problem:  # the library raises bare Exception from Rust
        raise _damaged(source, problem) from None
    fast.encode_special_tokens = True
    tokenizer = Tokenizer(fast)
    # Before anything is written as JSON: that goes through all ids up to the highest.
    highest = max(fast.get_vocab(with_added_tokens=True).values(), default=0)
    if highest >= max(tokenizer.vocab_size, 1):
        raise _damaged(
            source, ValueError(f"id {highest} in a vocabulary of {tokenizer.vocab_size}")
        )
    _ = tokenizer.eos_token_id
    return tokenizer


def _try_in_child(content: str) -> None:
    """Raise `ValueError` if loading `content`, or using it once, fails in a child with limits.

    Done once for a content on this machine.
    """
    check_in_child("tokenizer", "descend.data.tokenizer_child", content.encode(), ProcessLimits())


@contextmanager
def _no_panic(where: str) -> Iterator[None]:
    """Raise `TokenizerError` for a panic of the library, which is no `Exception`."""
    try:
        yield
    except BaseException as problem:
        if type(problem).__name__ != "PanicException":
            raise
        if "ThreadPoolBuildError" in str(problem):
            raise TokenizerError(
                "tokenizer", "no more threads that the system allows", "a thread for each core",
                "set TOKENIZERS_PARALLELISM=false, or allow more processes (`ulimit -u`) or memory",
            ) from None  # fmt: skip
        raise _damaged(where, problem) from None


def _damaged(where: str, problem: BaseException) -> TokenizerError:
    reason = (str(problem).splitlines() or [type(problem).__name__])[0][:80]
    return TokenizerError(
        where, f"a damaged file ({reason})", "a tokenizer.json of the Hugging Face tokenizers "
        "library", "restore it from a copy or train a new one with `descend tokenizer train`",
    )  # fmt: skip


def train_tokenizer(
    kind: TokenizerKind,
    vocab_size: int,
    texts: Callable[[], Iterator[str]],
) -> Tokenizer:
    """Return a tokenizer of at most `vocab_size` ids learned from `texts()`.

    `bpe` merges frequent byte pairs inside words; `char` has one id a character seen, with
    single bytes for all others; `byte` has the 256 bytes. All three add one end-of-text id.
    `vocab_size` counts for bpe only; a small text may yield fewer. Where conversations are in the
    text, bpe and char have an id for each marker of a role (`readers.chats`).
    """
    markers = _markers_in(texts()) if kind != "byte" else []
    if kind == "bpe" and vocab_size < 257 + len(markers):
        markers = []
    if kind == "char":
        fast = _char_tokenizer(texts())
    else:
        fast = FastTokenizer(models.BPE())
        fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        fast.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size - len(markers) if kind == "bpe" else 257,
            special_tokens=[END_OF_TEXT],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        source = _some(texts(), TRAINING_BYTES) if kind == "bpe" else iter(())
        fast.train_from_iterator((_without(piece, markers) for piece in source), trainer)
    # Not special: what is special in a text is encoded as ordinary characters.
    fast.add_tokens([AddedToken(marker, special=False, normalized=False) for marker in markers])
    fast.encode_special_tokens = True
    return Tokenizer(fast)


def _char_tokenizer(texts: Iterator[str]) -> FastTokenizer:
    characters: set[str] = set()
    for text in texts:
        characters.update(text)
    vocabulary = {END_OF_TEXT: 0}
    for token in [f"<0x{byte:02X}>" for byte in range(256)] + sorted(characters):
        vocabulary.setdefault(token, len(vocabulary))
    fast = FastTokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
    # One piece a character: without it the model would hold a whole text as one word.
    fast.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    fast.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    fast.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    return fast


def _markers_in(texts: Iterator[str]) -> list[str]:
    """Return the markers that stand at the beginning of a line of the first texts."""
    present: set[str] = set()
    for piece in _some(texts, TRAINING_BYTES):
        if "<|" in piece:
            lines = piece.split("\n")
            present.update(marker for marker in MARKERS if marker in lines)
    return [marker for marker in MARKERS if marker in present]


def _without(text: str, markers: Sequence[str]) -> str:
    for marker in markers:
        text = text.replace(marker, "")
    return text


def _some(texts: Iterator[str], nbytes: int) -> Iterator[str]:
    """Yield the first `nbytes` or so of `texts`, in small pieces (the trainer buffers a batch).

    Of runs without white space not more than `RUN_BYTES`: each merge goes through all of them.
    """
    left = RUN_BYTES
    for text in texts:
        for part in split_at_newlines(text, 2**16):
            for chunk in run_pieces(part):
                if len(chunk) >= MAX_UNBROKEN_CHARS:
                    left -= len(chunk) * (
                        max(map(len, chunk.split()), default=0) >= MAX_UNBROKEN_CHARS
                    )
                    if left < 0:
                        continue
                nbytes -= len(chunk.encode())
                yield chunk
        if nbytes <= 0:
            return
