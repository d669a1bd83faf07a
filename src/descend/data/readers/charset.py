"""From bytes to text: UTF-8 if it is UTF-8, else by byte-order mark or pattern, else by guess.

Text is decoded in blocks, so that memory stays fixed however large a file is. Since what
is UTF-8 is only known at the end of the file, the bytes are gone through twice: once to
decide, once to decode. A file whose lines are partly UTF-8 is decoded line by line. Newlines
stay as they are: `read_file` changes them.
"""

from __future__ import annotations

import codecs
import logging
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from descend.data.readers.codepages import rank_code_pages
from descend.data.readers.options import DEFAULT_OPTIONS, ReadOptions
from descend.errors import CorpusError

# A reader is handed this: each call goes through the bytes of a file afresh, in blocks.
Blocks = Callable[[], Iterator[bytes]]

BLOCK_BYTES = 1 << 20
_SAMPLE_BYTES = 1 << 16
# In text, control characters are rare (form feeds, colours in logs); in the first bytes of
# images, archives and programs about a tenth of the bytes or more are.
_MAX_JUNK_FRACTION = 0.05
_MAX_LOST_JUNK_FRACTION = 0.005
_HARMLESS_CONTROLS = frozenset("\t\n\v\f\r\b\x1b\x85\x1a")

# From so many UTF-8 lines, and this fraction of those beyond ASCII, a file is mixed: less may be
# chance, as "CAFÉ»" in cp1252 is UTF-8.
_MIN_MIXED_LINES, _MIN_MIXED_FRACTION = 2, 0.05
_WHOLE_BLOCKS = 8
_MAX_LINE_BYTES = 1 << 24
_MAX_SAMPLE_CHARS = 60
# Longer runs of one character are no text, but would be tokenized for minutes.
_MAX_EQUAL_CHARS = 1 << 24
_MIN_MOJIBAKE = 5
_HIGH = re.compile(rb"[\x80-\xff]")
_BEYOND = re.compile(r"[^\x00-\x7f]+")
# The two bytes of a letter with an accent, or three of a quotation mark, as cp1252 shows them.
_MOJIBAKE = re.compile("[\u00c3\u00c2\u00c5\u00c4][\u0080-\u00bf]|\u00e2\u20ac[\u0080-\u2122]")

_log = logging.getLogger("descend")

_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is a prefix of it
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class Charset:
    """A codec name and what it does with bytes that do not fit (`strict`, `replace`).

    `by_line`: lines that are UTF-8 are decoded so, and only the others by the codec.
    """

    codec: str
    errors: str
    by_line: bool = False


@dataclass(slots=True)
class _Census:
    """The lines with bytes beyond ASCII: how many are UTF-8 (or nearly), and others' bytes."""

    utf8: int = 0
    other: int = 0
    sample: bytearray = field(default_factory=bytearray)

    @property
    def is_mixed(self) -> bool:
        """Whether a good part of the lines is UTF-8 and another is not."""
        min_lines = max(_MIN_MIXED_LINES, _MIN_MIXED_FRACTION * (self.utf8 + self.other))
        return self.other > 0 and self.utf8 >= min_lines


def decode_blocks(
    blocks: Blocks, name: str, options: ReadOptions = DEFAULT_OPTIONS
) -> Iterator[str]:
    """Yield the text in pieces of at most about a mebi-character, without a leading mark.

    A piece never ends between `\\r` and `\\n`. Raises `CorpusError` if it is not text.
    """
    encoding = detect_charset(blocks, name, options)
    at_start, carried, checked, equal_chars = True, "", False, 0
    for decoded in chain(_decoded(blocks, encoding, name), (None,)):
        text = carried + (decoded or "")
        if at_start:
            text = text.lstrip("\ufeff")
            at_start = not text
        if not checked and text:
            _reject_binary(text[:_SAMPLE_BYTES], name)
            _warn_of_mojibake(text, name)
            checked = True
        carried = "\r" if decoded is not None and text.endswith("\r") else ""
        text = text[:-1] if carried else text
        if text:
            is_run = text.count(text[0]) == len(text) and not text.isspace()
            equal_chars = equal_chars + len(text) if is_run else 0
            if equal_chars > _MAX_EQUAL_CHARS:
                raise _not_text(name, f"a run of over {_MAX_EQUAL_CHARS:,} equal characters")
            yield text


def _decoded(blocks: Blocks, encoding: Charset, name: str) -> Iterator[str]:
    """Yield the decoded blocks; `CorpusError` where the codec refuses them, as UTF-16 does without
    a byte-order mark."""
    try:
        yield from _decode(blocks, encoding)
    except UnicodeError as problem:
        raise CorpusError(
            name,
            f"no {encoding.codec} ({problem})",
            "text",
            "name its encoding, or convert it to UTF-8",
        ) from None


def _decode(blocks: Blocks, encoding: Charset) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding.codec)(encoding.errors)
    if not encoding.by_line:
        for block in chain(blocks(), (b"",)):
            yield decoder.decode(block, final=not block)
        return
    for lines in _whole_lines(blocks()):
        try:
            yield lines.decode("utf-8")
        except UnicodeDecodeError:
            yield "".join(
                line.decode("utf-8", "replace")
                if _is_nearly_utf8(line)
                else line.decode(encoding.codec, encoding.errors)
                for line in lines.splitlines(keepends=True)
            )


def _whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces that end with a line, or are beyond `_MAX_LINE_BYTES`."""
    buffer = bytearray()
    for block in blocks:
        cut = block.rfind(b"\n") + 1
        buffer += block[:cut]
        if cut or len(buffer) > _MAX_LINE_BYTES:
            yield bytes(buffer)
            buffer.clear()
        buffer += block[cut:]
    yield bytes(buffer)


def detect_charset(blocks: Blocks, name: str, options: ReadOptions = DEFAULT_OPTIONS) -> Charset:
    """Return how these bytes are to be decoded. Raises `CorpusError` if they are no text.

    Logs a warning with a decoded line wherever this is a guess.
    """
    head = next(blocks(), b"")[:_SAMPLE_BYTES]
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return Charset(codec, "replace")
    if options.encoding is not None:
        return Charset(options.encoding, "replace")
    unmarked = _utf16_without_mark(head)
    if unmarked:
        _warn_of_guess(name, f"no byte-order mark, read as {unmarked}", head, unmarked)
        return Charset(unmarked, "replace")
    if _is_utf8(blocks):
        return Charset("utf-8", "strict")
    census = take_census(blocks)
    if not census.other:
        _warn_of_guess(name, "not valid UTF-8 in places, read as UTF-8 without them", b"", "utf-8")
        return Charset("utf-8", "replace")
    sample = bytes(census.sample)
    guess = rank_code_pages(sample).choose(options.folder_encoding) or _guess_rarer(sample)
    if guess is None:
        raise _not_text(name, "binary data, or text in an unknown encoding")
    if census.is_mixed:
        what = f"{census.other} lines are not UTF-8 and {census.utf8} are, the others read as"
    else:
        what = "not valid UTF-8, read as"
    _warn_of_guess(name, f"{what} {guess}", sample, guess)
    return Charset(guess, "replace", by_line=census.is_mixed)


def foreign_sample(blocks: Blocks) -> bytes:
    """Return bytes of the lines in the first block that are in an encoding of bytes other than
    UTF-8."""
    head = next(blocks(), b"")
    marked = any(head.startswith(mark) for mark, _ in _MARKS)
    if marked or head.isascii() or b"\0" in head:
        return b""
    return bytes(take_census(lambda: iter((head,))).sample)


def take_census(blocks: Blocks) -> _Census:
    """Count the lines beyond ASCII of the first blocks, and of the beginnings of later ones."""
    census = _Census()
    for number, lines in enumerate(_whole_lines(blocks())):
        some = lines if number < _WHOLE_BLOCKS else lines[:_SAMPLE_BYTES]
        for line in some.splitlines(keepends=True):
            if line.isascii():
                continue
            if _is_nearly_utf8(line):
                census.utf8 += 1
                continue
            census.other += 1
            if len(census.sample) < 2 * _SAMPLE_BYTES:
                at = max(0, next(_HIGH.finditer(line)).start() - _SAMPLE_BYTES // 2)
                census.sample += line[at : at + _SAMPLE_BYTES]
    return census


def _is_nearly_utf8(line: bytes) -> bool:
    """Return whether a line is UTF-8, or at least as much of it beyond ASCII is as is not."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        text = line.decode("utf-8", "replace")
        broken = text.count("\ufffd")
        return sum(map(len, _BEYOND.findall(text))) >= 2 * broken
    return True


def _warn_of_guess(name: str, what: str, sample: bytes, codec: str) -> None:
    """Log what was guessed with a line of the text in which it makes a difference."""
    text = sample.decode(codec, "replace")
    at = next((match.start() for match in _BEYOND.finditer(text)), 0)
    near = " ".join(text[max(0, at - _MAX_SAMPLE_CHARS // 2) : at + _MAX_SAMPLE_CHARS // 2].split())
    _log.warning("%s: %s%s", name, what, f': "{near}"' if near else "")


def _warn_of_mojibake(text: str, name: str) -> None:
    """Log a warning if most accents look like UTF-8 that was once decoded as cp1252."""
    broken = [match.group() for match in _MOJIBAKE.finditer(text)]
    whole = sum(1 for _ in _BEYOND.finditer(text))
    if len(broken) < _MIN_MOJIBAKE or 2 * len(broken) < whole:
        return
    try:
        meant = broken[0].encode("cp1252").decode("utf-8")
    except UnicodeError:
        return
    _log.warning(
        '%s: UTF-8 that was decoded wrongly before ("%s" for "%s"), read as it stands; '
        "repair it, as with ftfy", name, broken[0], meant,
    )  # fmt: skip


def _is_utf8(blocks: Blocks) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    try:
        for block in chain(blocks(), (b"",)):
            decoder.decode(block, final=not block)
    except UnicodeDecodeError:
        return False
    return True


def _utf16_without_mark(head: bytes) -> str | None:
    """UTF-16 has the zeros of its ASCII characters, spaces at least, all in every second byte."""
    even, odd = head[0::2], head[1::2]
    if len(odd) < 2:
        return None
    zeros_even, zeros_odd = even.count(0) / len(even), odd.count(0) / len(odd)
    codec = "utf-16-le" if zeros_odd > zeros_even else "utf-16-be"
    low, high = sorted((zeros_even, zeros_odd))
    if high > 0.4 and low < 0.02:
        return codec
    # Scripts beyond Latin: fewer zeros, and characters that are all assigned.
    if high < 0.01 or low > 0.02 * high:
        return None
    text = head[: len(head) // 2 * 2].decode(codec, "replace")
    return codec if _junk_share(text) < 0.01 else None


def _guess_rarer(sample: bytes) -> str | None:
    """Return what charset-normalizer takes bytes for; None if they are no text."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    if best is None or best.encoding.startswith("utf"):  # a sample of lines is none of those
        return None
    return best.encoding.replace("_", "-")


def _reject_binary(text: str, name: str) -> None:
    if _junk_share(text) <= _MAX_JUNK_FRACTION:
        return
    lost = text.count("\ufffd") / len(text)
    if _junk_share(text.replace("\ufffd", "")) > _MAX_LOST_JUNK_FRACTION:
        raise _not_text(name, "binary data")
    raise CorpusError(
        name, f"text of which {lost:.0%} of the characters are U+FFFD, the sign for a lost one",
        "text", "decode the source again, in the encoding that it was written in",
    )  # fmt: skip


def _junk_share(text: str) -> float:
    """Return the fraction of characters that are never in text."""
    junk = sum(
        character == "\ufffd"
        or (
            character not in _HARMLESS_CONTROLS
            and unicodedata.category(character) in ("Cc", "Cn", "Co", "Cs")
        )
        for character in text
    )
    return junk / max(1, len(text))


def _not_text(name: str, actual: str) -> CorpusError:
    return CorpusError(
        name, actual, "text", "remove this file, or convert it to plain text (UTF-8) first"
    )
