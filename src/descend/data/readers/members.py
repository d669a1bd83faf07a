"""Archives of files (zip, tar): each member is read as if it stood in a folder.

Runs in the child process of `isolated`: members are unpacked in memory, never to disk.
"""

from __future__ import annotations

import logging
import tarfile
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO
from lzma import LZMAError
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from descend.data.dataset_splits import is_in_split, named_split
from descend.data.document import Document
from descend.data.readers import (
    ARCHIVES,
    foreign_kind,
    has_known_suffix,
    has_suffix,
    read_member,
    slack_export,
)
from descend.data.readers.options import ReadOptions, Source
from descend.data.readers.zip_archive import MAX_ENTRY_BYTES, archive_error
from descend.data.unread_files import describe_unread
from descend.errors import CorpusError

# Members, and bytes unpacked for each packed one, beyond which an archive is a bomb: text packs to
# a tenth, a log of one line repeated to a hundredth.
MAX_MEMBERS = 1_000_000
MAX_UNPACKED, MAX_RATIO = 1 << 30, 300

# Of a member of a tar archive, which is held in memory.
MAX_MEMBER_BYTES = 1 << 30

Member = tuple[str, int, Callable[[], BinaryIO]]
"""The path of a member, its bytes (negative if it is too large to be held), and its content."""


def read_zip(path: Source, name: str, options: ReadOptions) -> Iterator[Document]:
    """Yield the documents of the members. Raises `CorpusError` if it is damaged or has no text."""
    try:
        with zipfile.ZipFile(path) as archive:
            options, left_out = _of_slack(archive, name, options)
            yield from _documents(_zipped(archive, left_out), _packed(path), name, options)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, zlib.error) as error:
        raise archive_error(name, f"a damaged file ({error})", "zip") from None
    except RuntimeError as error:  # what zipfile says of members under a password
        raise archive_error(name, f"a locked file ({error})", "zip") from None


def read_tar(path: Source, name: str, options: ReadOptions) -> Iterator[Document]:
    """Yield the documents of the members, packed by gzip, bzip2, xz or not at all."""
    stream = path if isinstance(path, BytesIO) else path.open("rb")
    try:
        with stream, tarfile.open(fileobj=stream, mode="r|*") as archive:
            yield from _documents(_taped(archive), _packed(path), name, options)
    except (tarfile.TarError, EOFError, zlib.error, LZMAError, OSError) as error:
        raise archive_error(name, f"a damaged file ({error})", "tar") from None


def _of_slack(
    archive: zipfile.ZipFile, name: str, options: ReadOptions
) -> tuple[ReadOptions, frozenset[str]]:
    """Return the options with the names in an export of Slack, and its members that are no text."""
    inside: dict[PurePosixPath, set[str]] = defaultdict(set)
    for entry in archive.infolist():
        member = PurePosixPath(entry.filename)
        inside[member.parent].add(member.name)
    for folder, names in inside.items():
        users = (folder / slack_export.USERS).as_posix()
        if not slack_export.may_be_slack_export(names):
            continue
        if archive.getinfo(users).file_size > slack_export.MAX_USERS_BYTES:
            continue
        if user_names := slack_export.parse_user_names(archive.read(users)):
            logging.getLogger("descend").warning("%s: %s", name, slack_export.WARNING)
            left_out = frozenset((folder / own).as_posix() for own in slack_export.METADATA)
            return replace(options, user_names=user_names), left_out
    return options, frozenset()


def _zipped(archive: zipfile.ZipFile, left_out: frozenset[str]) -> Iterator[Member]:
    for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
        if not entry.is_dir() and entry.filename not in left_out:
            yield entry.filename, entry.file_size, partial(_open_entry, archive, entry)


def _open_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> BinaryIO:
    return cast(BinaryIO, archive.open(entry))


def _taped(archive: tarfile.TarFile) -> Iterator[Member]:
    for entry in archive:
        file = archive.extractfile(entry) if entry.isfile() else None
        if file is not None:
            small = entry.size <= MAX_MEMBER_BYTES
            data = file.read() if small else b""  # a stream: it must be read now or never
            yield entry.name, entry.size if small else -entry.size, partial(BytesIO, data)


def _packed(path: Source) -> int:
    return len(path.getbuffer()) if isinstance(path, BytesIO) else path.stat().st_size


def _documents(
    members: Iterator[Member], packed: int, name: str, options: ReadOptions
) -> Iterator[Document]:
    unread: Counter[str] = Counter()
    unread_bytes: Counter[str] = Counter()
    unpacked = read = 0
    for number, (member, size, opener) in enumerate(members):
        is_in_memory, size = size >= 0, abs(size)
        unpacked += size
        if number > MAX_MEMBERS or unpacked > max(MAX_UNPACKED, MAX_RATIO * packed):
            problem = f"an archive of over {number:,} files and {unpacked:,} bytes unpacked"
            raise archive_error(name, problem, "archive")
        path = PurePosixPath(member)
        if any(part.startswith((".", "__MACOSX")) for part in path.parts if part != "."):
            continue
        if options.split and named_split(path) and not is_in_split(path, options.split):
            continue
        format_ = foreign_kind(path)
        large = size > MAX_ENTRY_BYTES and format_ is not None
        if (
            not (size and is_in_memory)
            or format_ in ARCHIVES
            or large
            or not _is_text(path, opener)
        ):
            kind = path.suffix or path.name if size else "empty"
            unread[kind] += 1
            unread_bytes[kind] += size
            continue
        try:
            yield from read_member(path, opener, f"{name}, {member}", options)
            read += 1
        except CorpusError as error:
            logging.getLogger("descend").warning(
                "skipped %s (found %s)", error.location, error.actual
            )
    for note in describe_unread(unread, unread_bytes, unpacked):
        logging.getLogger("descend").warning("%s: %s", name, note)
    if not read:
        raise archive_error(name, f"no text among its {unread.total()} files", "archive")


def _is_text(path: PurePosixPath, opener: Callable[[], BinaryIO]) -> bool:
    if has_known_suffix(path):
        return True
    head = b"\0" if has_suffix(path) else opener().read(4096)
    return b"\0" not in head and "\ufffd" not in head.decode("utf-8", "replace")[:-3]
