"""From bytes to text: UTF-8 if it is UTF-8, else by byte-order mark, else by guess.

Text is decoded in blocks, so that memory stays fixed however large a file is. Since what
is UTF-8 is only known at the end of the file, the bytes are gone through twice: once to
decide, once to decode. Newlines stay as they are (`\\r\\n` is not changed): reading loses
nothing but a byte-order mark.
"""

from __future__ import annotations

import codecs
import logging
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from descend.errors import CorpusError

# A reader is handed this: each call goes through the bytes of a file afresh, in blocks.
Blocks = Callable[[], Iterator[bytes]]

BLOCK_BYTES = 1 << 20
_SAMPLE_BYTES = 1 << 16
# In text, control characters are rare (form feeds, colours in logs); in the first bytes of
# images, archives and programs about a tenth of the bytes or more are.
_JUNK_SHARE = 0.05
_HARMLESS_CONTROLS = frozenset("\t\n\v\f\r\b\x1b\x85\x1a")

_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is a prefix of it
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class Encoding:
    """A codec name and what it does with bytes that do not fit (`strict`, `replace`)."""

    codec: str
    errors: str


def decode(blocks: Blocks, name: str) -> Iterator[str]:
    """The text in pieces of at most about a mebi-character, without a leading mark.

    A piece never ends between `\\r` and `\\n`. Raises `CorpusError` if it is not text.
    """
    encoding = detect(blocks, name)
    decoder = codecs.getincrementaldecoder(encoding.codec)(encoding.errors)
    at_start, carried, checked = True, "", False
    for block in chain(blocks(), (b"",)):
        text = carried + decoder.decode(block, final=not block)
        if at_start:
            text = text.lstrip("\ufeff")
            at_start = not text
        if not checked and text:
            _refuse_junk(text[:_SAMPLE_BYTES], name)
            checked = True
        carried = "\r" if block and text.endswith("\r") else ""
        text = text[:-1] if carried else text
        if text:
            yield text


def detect(blocks: Blocks, name: str) -> Encoding:
    """How these bytes are to be decoded. Raises `CorpusError` if they are no text."""
    head = next(blocks(), b"")[:_SAMPLE_BYTES]
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return Encoding(codec, "replace")
    unmarked = _utf16_without_mark(head)
    if unmarked:
        return Encoding(unmarked, "replace")
    sample = _first_that_is_not_utf8(blocks)
    if sample is None:
        return Encoding("utf-8", "strict")
    encoding = _guess(sample)
    if encoding is None:
        raise _not_text(name, "binary data, or text in an unknown encoding")
    logging.getLogger("descend").warning(
        "%s: not valid UTF-8, read as %s", name, encoding.codec.replace("_", "-")
    )
    return encoding


def _first_that_is_not_utf8(blocks: Blocks) -> bytes | None:
    """The bytes around the first place that is not UTF-8; None if all is UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    before = b""
    for block in chain(blocks(), (b"",)):
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            around = before[-_SAMPLE_BYTES:] + block
            at = len(around) - len(error.object) + error.start
            return around[max(0, at - _SAMPLE_BYTES // 2) : at + _SAMPLE_BYTES]
        before = block
    return None


def _utf16_without_mark(head: bytes) -> str | None:
    """UTF-16 of mostly Latin text has a zero in every second byte; nothing else has."""
    even, odd = head[0::2], head[1::2]
    if len(odd) < 2:
        return None
    zeros_even, zeros_odd = even.count(0) / len(even), odd.count(0) / len(odd)
    if zeros_odd > 0.4 and zeros_even < 0.02:
        return "utf-16-le"
    if zeros_even > 0.4 and zeros_odd < 0.02:
        return "utf-16-be"
    return None


def _guess(sample: bytes) -> Encoding | None:
    """The most likely encoding of bytes that are not UTF-8; None if they are no text."""
    # A UTF-8 text with a few broken bytes must not become a Latin-1 text full of "Ã©".
    as_utf8 = sample.decode("utf-8", "replace")
    bad = as_utf8.count("\ufffd")
    good = sum(character > "\x7f" for character in as_utf8) - bad
    if good > 20 * bad:
        return Encoding("utf-8", "replace")
    from charset_normalizer import from_bytes

    matches = from_bytes(sample)
    best = matches.best()
    if best is None:
        return None
    # Among guesses that it finds equally good charset-normalizer takes the first by
    # alphabet (cp1006, cp1250); by far the most usual of them is Windows-1252.
    for match in matches:
        as_good = match.chaos <= best.chaos and match.coherence >= best.coherence
        if as_good and "cp1252" in match.could_be_from_charset:
            return Encoding("cp1252", "replace")
    return Encoding(best.encoding, "replace")


def _refuse_junk(text: str, name: str) -> None:
    junk = sum(
        character == "\ufffd"
        or (
            character not in _HARMLESS_CONTROLS
            and unicodedata.category(character) in ("Cc", "Cn", "Co", "Cs")
        )
        for character in text
    )
    if junk > _JUNK_SHARE * len(text):
        raise _not_text(name, "binary data")


def _not_text(name: str, found: str) -> CorpusError:
    return CorpusError(
        name, found, "text", "remove this file, or convert it to plain text (UTF-8) first"
    )
