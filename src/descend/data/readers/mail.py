"""Mail: a message a document, its subject and what it says, without attachments.

Runs in the child process of `isolated`.
"""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from io import BytesIO
from typing import BinaryIO

from descend.data.document import Document
from descend.data.readers.charset import decode_blocks
from descend.data.readers.chunking import document_chunks
from descend.data.readers.html import html_text
from descend.data.readers.options import ReadOptions, Source
from descend.errors import CorpusError

MAX_MESSAGE_BYTES = 1 << 27
_HEADERS = (
    "from",
    "to",
    "subject",
    "date",
    "received",
    "message-id",
    "return-path",
    "mime-version",
)


def read_eml(path: Source, name: str, options: ReadOptions) -> Iterator[Document]:
    """Yield one message. Raises `CorpusError` if it has no headers of mail."""
    with _opened(path) as file:
        data = file.read(MAX_MESSAGE_BYTES)
    text = _message_text(data, name, options)
    if text is None:
        raise CorpusError(name, "no message", "a mail with its headers", "save it again")
    yield from document_chunks((text,), name)


def read_mbox(path: Source, name: str, options: ReadOptions) -> Iterator[Document]:
    """Yield the messages of a mailbox, each after a line that begins with `From `."""
    number = 0
    with _opened(path) as file:
        for data in _messages(file, name):
            number += 1
            text = _message_text(data, name, options)
            if text and text.strip():
                yield from document_chunks((text,), f"{name}:{number}")
    if not number:
        raise CorpusError(name, "no message", "a mailbox (mbox)", "save it again or remove it")


def _opened(path: Source) -> BinaryIO:
    return path if isinstance(path, BytesIO) else path.open("rb")


def _messages(file: BinaryIO, name: str) -> Iterator[bytes]:
    lines: list[bytes] | None = None
    length, is_after_empty_line = 0, True
    while row := file.readline(1 << 20):
        if is_after_empty_line and row.startswith(b"From "):
            if lines:
                yield b"".join(lines)
            lines, length = [], 0
        elif lines is not None and length < MAX_MESSAGE_BYTES:  # the rest is an attachment
            lines.append(row[1:] if row.startswith(b">From ") else row)
            length += len(row)
        is_after_empty_line = not row.strip()
    if lines:
        yield b"".join(lines)


def _message_text(data: bytes, name: str, options: ReadOptions) -> str | None:
    """Subject, an empty line, and the body as plain text; None if it is no message."""
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    if not any(header in message for header in _HEADERS):
        return None
    try:
        body = message.get_body(("plain", "html"))
    except (LookupError, ValueError, AttributeError):
        body = None
    said = "" if body is None else _part_text(body, name, options)
    if body is not None and body.get_content_type() == "text/html":
        said = html_text(said)
    try:
        subject = " ".join(str(message["subject"] or "").split())
    except (LookupError, ValueError, IndexError, AttributeError):  # a header beyond the standard
        subject = ""
    said = said.replace("\r\n", "\n").strip("\n")
    return "\n\n".join(filter(None, (subject, said))) + "\n"


def _part_text(part: MIMEPart, name: str, options: ReadOptions) -> str:
    """Return the text of a part, by its own charset, or by guess where that is unknown or wrong."""
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    try:
        return data.decode(part.get_content_charset("utf-8"))
    except (LookupError, ValueError):
        return "".join(decode_blocks(lambda: iter((data,)), name, options))
