"""Rich text (rtf): one file, one document, a paragraph a line.

Runs in the child process of `isolated`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from descend.data.document import Document
from descend.data.readers.chunking import document_chunks
from descend.data.readers.options import ReadOptions, Source
from descend.errors import CorpusError

# A control word with its number, a byte in hexadecimal, a control sign, a brace, or text.
_TOKEN = re.compile(
    rb"\\([A-Za-z]{1,32})(-?\d{1,10})? ?|\\'([0-9A-Fa-f]{2})|\\([^A-Za-z'])|([{}])|[\r\n]+|"
    rb"([^\\{}\r\n]+)"
)
# Groups that hold no text of the document.
_DROPPED = frozenset(
    [
        "colortbl",
        "stylesheet",
        "info",
        "pict",
        "object",
        "header",
        "headerl",
        "headerr",
        "headerf",
        "footer",
        "footerl",
        "footerr",
        "footerf",
        "listtable",
        "listoverridetable",
        "rsidtbl",
        "generator",
        "themedata",
        "colorschememapping",
        "latentstyles",
        "datastore",
        "xmlnstbl",
        "fldinst",
        "filetbl",
        "revtbl",
        "annotation",
        "atnid",
        "atnauthor",
    ]
)
_SIGNS = {
    "par": "\n", "line": "\n", "sect": "\n", "page": "\n", "row": "\n", "cell": "\t", "tab": "\t",
    "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“",
    "rdblquote": "”", "bullet": "•", "emspace": " ", "enspace": " ",
}  # fmt: skip
_CHARSETS = {
    0: 1252, 128: 932, 129: 949, 134: 936, 136: 950, 161: 1253, 162: 1254, 163: 1258, 177: 1255,
    178: 1256, 186: 1257, 204: 1251, 222: 874, 238: 1250,
}  # fmt: skip
_MAX_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class _Group:
    """What holds within a pair of braces."""

    dropped: bool = False
    in_fonts: bool = False
    codec: str = ""
    skipped_after_unicode: int = 1


@dataclass(slots=True)
class _State:
    codec: str = "cp1252"
    fonts: dict[int, str] = field(default_factory=dict)
    font: int = 0
    skip: int = 0


def read_rtf(path: Source, name: str, options: ReadOptions) -> Iterator[Document]:
    """Yield the text without its formatting. Raises `CorpusError` if it is no RTF."""
    data = path.read_bytes() if not hasattr(path, "getvalue") else path.getvalue()
    if not data.lstrip().startswith(b"{\\rtf"):
        raise CorpusError(
            name, "no rtf file", "a file that begins with {\\rtf", "save it again or remove it"
        )
    if len(data) > _MAX_BYTES:
        raise CorpusError(name, f"an rtf file of {len(data):,} bytes", "a smaller one", "divide it")
    yield from document_chunks(_pieces(data), name)


def _pieces(data: bytes) -> Iterator[str]:
    state, group = _State(), _Group()
    stack: list[_Group] = []
    buffer = bytearray()  # bytes of one code page, decoded together: a character may take two

    def flush() -> str:
        text = buffer.decode(group.codec or state.codec, "replace")
        buffer.clear()
        return text

    for match in _TOKEN.finditer(data):
        word, number, octet, sign, brace, text = match.groups()
        if octet is not None or text is not None:
            raw = bytes((int(octet, 16),)) if octet is not None else text
            left = raw[state.skip :]
            state.skip = max(0, state.skip - len(raw))
            if not group.dropped and not group.in_fonts:
                buffer += left
            continue
        if buffer:
            yield flush()
        if brace == b"{":
            stack.append(group)
        elif brace == b"}":
            group = stack.pop() if stack else group
        elif sign == b"*":
            group = replace(group, dropped=True)
        elif sign is not None:
            if not group.dropped and sign in b"{}\\~_\n\r":
                yield {b"~": "\xa0", b"_": "-", b"\n": "\n", b"\r": "\n"}.get(sign, sign.decode())
        elif word is not None:
            group, out = _control(word.decode(), int(number) if number else None, group, state)
            if out and not group.dropped:
                yield out
    if buffer:
        yield flush()


def _control(word: str, number: int | None, group: _Group, state: _State) -> tuple[_Group, str]:
    """Return what a control word makes of the group, and the text that it stands for."""
    if word in _DROPPED:
        return replace(group, dropped=True), ""
    if word == "fonttbl":
        return replace(group, in_fonts=True), ""
    if word == "ansicpg" and number:
        state.codec = _known_codec(number) or state.codec
    elif word == "f" and number is not None:
        state.font = number
        if not group.in_fonts:
            return replace(group, codec=state.fonts.get(number, "")), ""
    elif word == "fcharset" and number is not None and group.in_fonts:
        # Charset 0 is what a document says whose code page is another: that one holds.
        codec = _known_codec(_CHARSETS[number]) if number in _CHARSETS and number else None
        state.fonts[state.font] = codec or ""
    elif word == "plain":
        return replace(group, codec=""), ""
    elif word == "uc" and number is not None:
        return replace(group, skipped_after_unicode=max(0, number)), ""
    elif word == "u" and number is not None:
        state.skip = group.skipped_after_unicode
        return group, chr(number % 65536)
    elif word == "bin" and number:
        state.skip = number
    return group, _SIGNS.get(word, "") if not group.in_fonts else ""


def _known_codec(page: int) -> str | None:
    names = {10000: "mac_roman", 65001: "utf-8"}
    try:
        return codecs.lookup(names.get(page, f"cp{page}")).name
    except LookupError:
        return None
