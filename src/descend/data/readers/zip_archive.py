"""What docx, odt and epub share: a zip archive of XML, opened with limits."""

from __future__ import annotations

import zipfile
from xml.etree import ElementTree

from descend.data.readers.options import Source
from descend.errors import CorpusError

# Above what honest books have by a wide margin; in the child process memory is limited too.
MAX_ENTRIES = 20_000
MAX_ENTRY_BYTES = 1 << 28
MAX_TOTAL_BYTES = 1 << 30


def open_archive(path: Source, name: str, kind: str) -> zipfile.ZipFile:
    """Return the archive. Raises `CorpusError` if it is none, or unpacks to more than the limits.

    `zipfile` never unpacks an entry beyond its declared size, so the sums below bound it.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError) as error:
        raise archive_error(name, f"a damaged file ({error})", kind) from None
    entries = archive.infolist()
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_ENTRIES or total > MAX_TOTAL_BYTES:
        actual = f"an archive of {len(entries):,} entries and {total:,} bytes unpacked"
        raise archive_error(name, actual, kind)
    return archive


def entry_bytes(archive: zipfile.ZipFile, entry: str, name: str, kind: str) -> bytes:
    """Return the bytes of one entry. Raises `CorpusError` if it is missing, too large or
    damaged."""
    try:
        size = archive.getinfo(entry).file_size
        if size > MAX_ENTRY_BYTES:
            raise archive_error(name, f"an entry of {size:,} bytes ({entry})", kind)
        return archive.read(entry)
    except KeyError:
        raise archive_error(name, f"no entry {entry}", kind) from None
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise archive_error(name, f"a damaged or locked entry {entry} ({error})", kind) from None


def entry_xml(archive: zipfile.ZipFile, entry: str, name: str, kind: str) -> ElementTree.Element:
    """Return one entry as XML. A document type is refused: it is how XML bombs are made."""
    data = entry_bytes(archive, entry, name, kind)
    if b"<!ENTITY" in data:
        raise archive_error(name, f"entity definitions in {entry}", kind)
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise archive_error(name, f"broken XML in {entry} ({error})", kind) from None


def archive_error(name: str, actual: str, kind: str) -> CorpusError:
    """Return an archive that cannot be read, as one sentence."""
    return CorpusError(name, actual, f"a whole {kind} file", "save it again or remove it")
